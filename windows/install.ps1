# Installs the agent as a Windows service. In an elevated PowerShell, beside the four programs:
#   powershell -ExecutionPolicy Bypass -File install.ps1 [-Source DIR] [-Destination DIR] [-NoStart]
# It copies the programs where only administrators can change them, makes the service, and starts it. A service that is
# there is stopped and replaced; the store stays.
#Requires -RunAsAdministrator
param(
    [string] $Source,
    [string] $Destination = (Join-Path $env:ProgramFiles 'runsecrets'),
    [switch] $NoStart
)
$ErrorActionPreference = 'Stop'
$programs = 'runsecrets.exe', 'runsecrets-agent.exe', 'runsecrets-hook.exe', 'runsecrets-runtime.exe'
if (-not $Source) { $Source = $PSScriptRoot }

# The whole path, from PowerShell's own directory: .NET and other programs have another. No backslash at the end: it would
# escape the quotation mark that PowerShell puts behind a path with spaces.
function Get-Whole([string] $Path) {
    return $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Path).TrimEnd('\')
}

# A program that fails stops the script, as a cmdlet does.
function Invoke-Program([string] $Program, [string[]] $Arguments) {
    & $Program @Arguments | Out-Host
    if ($LASTEXITCODE -ne 0) { throw "$Program $Arguments has failed with exit code $LASTEXITCODE" }
}

# Stops where the directory has something that is not ours.
function Confirm-Ours([string] $Directory) {
    $strange = @(Get-ChildItem -Force -LiteralPath $Directory | Where-Object { $programs -notcontains $_.Name })
    if ($strange.Count -gt 0) {
        throw "$($strange[0].FullName) is not ours, and SYSTEM would run a library from there: empty the directory, or choose another"
    }
}

$Source = Get-Whole $Source
$Destination = Get-Whole $Destination
if ($Destination -match '^[A-Za-z]:$') { throw "the programs need a directory of their own, not $Destination" }
if ($Source -eq $Destination) { throw "give -Source: the programs are to be copied to $Destination from somewhere else" }
foreach ($program in $programs) {
    if (-not (Test-Path -LiteralPath (Join-Path $Source $program) -PathType Leaf)) { throw "$program is not in $Source" }
}

# Whoever can change the programs can have SYSTEM run theirs: administrators change, users read. A directory that was there
# may be somebody else's, with their entries in its access list, and they may put something in until it is closed to them.
New-Item -ItemType Directory -Force -Path $Destination | Out-Null
Confirm-Ours $Destination
$icacls = Join-Path $env:SystemRoot 'System32\icacls.exe'
$list = '*S-1-5-18:(OI)(CI)F', '*S-1-5-32-544:(OI)(CI)F', '*S-1-5-32-545:(OI)(CI)RX'
Invoke-Program $icacls $Destination, '/setowner', '*S-1-5-32-544', '/q'
Invoke-Program $icacls $Destination, '/reset', '/q'
Invoke-Program $icacls (@($Destination, '/inheritance:r', '/grant:r') + $list)
Confirm-Ours $Destination

# By the new agent: the old one may be elsewhere. Its programs can be replaced when it has ended.
$agent = Join-Path $Source 'runsecrets-agent.exe'
if (Get-Service -Name 'runsecrets-agent' -ErrorAction SilentlyContinue) { Invoke-Program $agent 'service', 'uninstall' }
# Anew: a file that is written over keeps its own access list.
foreach ($program in $programs) {
    $copy = Join-Path $Destination $program
    if (Test-Path -LiteralPath $copy) { Remove-Item -Force -LiteralPath $copy }
    Copy-Item -LiteralPath (Join-Path $Source $program) -Destination $Destination
}

# The agent itself makes its directory, with its access list, at its first start: a configuration that is there is kept.
$agent = Join-Path $Destination 'runsecrets-agent.exe'
Invoke-Program $agent 'service', 'install'
if (-not $NoStart) { Invoke-Program $agent 'service', 'start' }
Invoke-Program $agent '--version'
