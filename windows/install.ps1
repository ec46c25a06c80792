# Installs the agent as a Windows service. In an elevated PowerShell, beside the four programs:
#   powershell -ExecutionPolicy Bypass -File install.ps1 [-Source DIR] [-Destination DIR] [-NoStart]
# It copies the programs where only administrators can change them, makes the service, and starts it. A service that is
# there is stopped and replaced; the store stays.
#Requires -RunAsAdministrator
param(
    [string] $Source = $PSScriptRoot,
    [string] $Destination = (Join-Path $env:ProgramFiles 'runsecrets'),
    [switch] $NoStart
)
$ErrorActionPreference = 'Stop'
$programs = 'runsecrets.exe', 'runsecrets-agent.exe', 'runsecrets-hook.exe', 'runsecrets-runtime.exe'

function Invoke-Agent([string[]] $Arguments) {
    & (Join-Path $Destination 'runsecrets-agent.exe') @Arguments
    if ($LASTEXITCODE -ne 0) { throw "runsecrets-agent $Arguments has failed with exit code $LASTEXITCODE" }
}

foreach ($program in $programs) {
    if (-not (Test-Path -LiteralPath (Join-Path $Source $program))) { throw "$program is not in $Source" }
}
if (Get-Service -Name 'runsecrets-agent' -ErrorAction SilentlyContinue) { Invoke-Agent 'service', 'uninstall' }

New-Item -ItemType Directory -Force -Path $Destination | Out-Null
# Whoever can change the programs can have SYSTEM run theirs: administrators change, users read.
icacls $Destination /inheritance:r /grant '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' '*S-1-5-32-545:(OI)(CI)RX' | Out-Null
if ($LASTEXITCODE -ne 0) { throw "the access list of $Destination could not be set" }
foreach ($program in $programs) {
    Copy-Item -Force -LiteralPath (Join-Path $Source $program) -Destination $Destination
}

# The agent itself makes its directory, with its access list, at its first start: a configuration that is there is kept.
Invoke-Agent 'service', 'install'
if (-not $NoStart) { Invoke-Agent 'service', 'start' }
Invoke-Agent '--version'
