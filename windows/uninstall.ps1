# Stops the agent, which removes what it delivered, and removes the service and the programs. In an elevated PowerShell:
#   powershell -ExecutionPolicy Bypass -File uninstall.ps1 [-Destination DIR] [-RemoveStore]
# The sealed store and its key stay, unless -RemoveStore is given: without them nobody reads the secrets again. What the
# configuration keeps elsewhere than in ProgramData stays in any case.
#Requires -RunAsAdministrator
param(
    [string] $Destination = (Join-Path $env:ProgramFiles 'runsecrets'),
    [switch] $RemoveStore
)
$ErrorActionPreference = 'Stop'
$agent = Join-Path $Destination 'runsecrets-agent.exe'

if (Get-Service -Name 'runsecrets-agent' -ErrorAction SilentlyContinue) {
    if (-not (Test-Path -LiteralPath $agent -PathType Leaf)) {
        throw "the service is installed, and $agent is not there: say with -Destination where the programs are"
    }
    & $agent service uninstall
    if ($LASTEXITCODE -ne 0) { throw "the service could not be removed (exit code $LASTEXITCODE); nothing else was touched" }
}
foreach ($program in 'runsecrets.exe', 'runsecrets-agent.exe', 'runsecrets-hook.exe', 'runsecrets-runtime.exe') {
    $path = Join-Path $Destination $program
    if (Test-Path -LiteralPath $path) { Remove-Item -Force -LiteralPath $path }
}
if ((Test-Path -LiteralPath $Destination) -and -not (Get-ChildItem -Force -LiteralPath $Destination)) {
    Remove-Item -LiteralPath $Destination
}
if ($RemoveStore) {
    $data = Join-Path $env:ProgramData 'runsecrets'
    if (Test-Path -LiteralPath $data) { Remove-Item -Recurse -Force -LiteralPath $data }
}
