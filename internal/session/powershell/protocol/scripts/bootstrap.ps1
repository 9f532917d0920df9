$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$u = New-Object System.Text.UTF8Encoding($false)
$r = New-Object System.IO.StreamReader([Console]::OpenStandardInput(), $u, $true, 65536)
$b = New-Object System.Text.StringBuilder
while ($true) {
$l = $r.ReadLine()
if ($l -eq $null) { exit 3 }
if ($l -eq '.') { break }
[void]$b.Append($l)
}
$n = $r.ReadLine()
& ([ScriptBlock]::Create($u.GetString([Convert]::FromBase64String($b.ToString())))) $r $n
