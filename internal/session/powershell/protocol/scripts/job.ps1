# The runner of a job, started by the task scheduler. What to run stands in a data file beside this script.
# It runs once: a second start, by hand or by a trigger, finds the lock and leaves.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$path = $MyInvocation.MyCommand.Path
$base = $path.Substring(0, $path.Length - 4)
$utf8 = New-Object System.Text.UTF8Encoding($false)
try {
    [Console]::InputEncoding = $utf8
}
catch {
}
try {
    # Held for as long as this process lives: that is how job.state knows a running job from a lost one.
    $lock = New-Object System.IO.FileStream(($base + '.lock'), [System.IO.FileMode]::CreateNew, [System.IO.FileAccess]::ReadWrite, [System.IO.FileShare]::None)
}
catch {
    exit 0
}
$fields = @()
foreach ($l in [System.IO.File]::ReadAllLines($base + '.job')) {
    $fields += $utf8.GetString([Convert]::FromBase64String($l))
}
$out = New-Object System.IO.FileStream(($base + '.out'), [System.IO.FileMode]::Create, [System.IO.FileAccess]::Write, [System.IO.FileShare]::ReadWrite)
$code = [int64]1
try {
    $code = Invoke-Program $fields[0] $fields[1] $fields[2] $null ([int64]$fields[3] * 1000) $out $out
    if ($null -eq $code) {
        $code = [int64]1460
    }
}
catch {
    $e = $_.Exception
    while ($null -ne $e.InnerException) {
        $e = $e.InnerException
    }
    if ($e -is [System.ComponentModel.Win32Exception]) {
        $code = [int64]$e.NativeErrorCode
    }
    $text = $utf8.GetBytes($e.Message)
    $out.Write($text, 0, $text.Length)
}
$out.Close()
[System.IO.File]::WriteAllText($base + '.exit.tmp', $code.ToString([System.Globalization.CultureInfo]::InvariantCulture))
[System.IO.File]::Move($base + '.exit.tmp', $base + '.exit')
$lock.Close()
