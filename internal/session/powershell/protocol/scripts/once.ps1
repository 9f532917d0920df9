# Serves one cmdlet request for another user, started by the task scheduler. The request stands in a file beside this script,
# the answer's frames go into another.
$path = $MyInvocation.MyCommand.Path
$base = $path.Substring(0, $path.Length - 4)
try {
    # Held for as long as this process lives: that is how it is known to run.
    $lock = New-Object System.IO.FileStream(($base + '.lock'), [System.IO.FileMode]::CreateNew, [System.IO.FileAccess]::ReadWrite, [System.IO.FileShare]::None)
}
catch {
    exit 0
}
$verbs['cmdlet'] = {
    param($a)
    Invoke-Cmdlet $a
}
$nonce = '-'
$deploy['out'] = New-Object System.IO.StreamWriter(($base + '.out'), $false, $utf8)
$failure = Invoke-Request ([int64]1) ([System.IO.File]::ReadAllText($base + '.job'))
if ($null -ne $failure) {
    Send-Frame ([int64]1) 'E' (Get-Encoded $failure)
}
$deploy['out'].Close()
[System.IO.File]::WriteAllText($base + '.exit', '0')
$lock.Close()
