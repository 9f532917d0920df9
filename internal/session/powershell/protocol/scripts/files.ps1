# run, file.*, dir.*, acl.*

$verbs['run'] = {
    param($a)
    $out = New-Object System.IO.MemoryStream
    $err = New-Object System.IO.MemoryStream
    $limit = 120000
    if ($a['timeout'] -gt 0) {
        $limit = $a['timeout']
    }
    try {
        $code = Invoke-Program ([string]@($a['argv'])[0]) ([string]$a['line']) ([string]$a['dir']) $a['stdin'] $limit $out $err
    }
    catch {
        $failed = Get-Failure $_
        # 2 and 3: there is no such program or path.
        if (($failed['code'] -eq 2) -or ($failed['code'] -eq 3)) {
            Stop-Unsupported ('no program ' + [string]@($a['argv'])[0])
        }
        throw
    }
    if ($null -eq $code) {
        Stop-Request 'deploy.Timeout' 1460 'the program did not end in time and was stopped'
    }
    Add-Row @{ code = $code; stdout = $out.ToArray(); stderr = $err.ToArray() }
}

# -1 says that the path is not there. Every other trouble is thrown: "cannot tell" must not look like "absent".
function Get-Attribute($path) {
    try {
        return [int][System.IO.File]::GetAttributes($path)
    }
    catch {
        $e = $_.Exception
        while ($null -ne $e.InnerException) {
            $e = $e.InnerException
        }
        if (($e -is [System.IO.FileNotFoundException]) -or ($e -is [System.IO.DirectoryNotFoundException]) -or ($e -is [System.IO.DriveNotFoundException])) {
            return -1
        }
        throw
    }
}

function Get-Entry($path) {
    $attributes = Get-Attribute $path
    if ($attributes -eq -1) {
        Stop-Absent ('there is no ' + $path)
    }
    if ($attributes -band 16) {
        New-Object System.IO.DirectoryInfo($path)
    }
    else {
        New-Object System.IO.FileInfo($path)
    }
}

function Get-Hash($path) {
    # A machine that allows validated algorithms only refuses the first of the two; an old .NET lacks the second.
    try {
        $sha = [System.Security.Cryptography.SHA256]::Create()
    }
    catch {
        [void][System.Reflection.Assembly]::LoadWithPartialName('System.Core')
        $sha = New-Object System.Security.Cryptography.SHA256CryptoServiceProvider
    }
    $stream = New-Object System.IO.FileStream($path, [System.IO.FileMode]::Open, [System.IO.FileAccess]::Read, [System.IO.FileShare]::ReadWrite)
    try {
        $sum = $sha.ComputeHash($stream)
    }
    finally {
        $stream.Close()
    }
    [BitConverter]::ToString($sum).Replace('-', '').ToLowerInvariant()
}

$verbs['file.stat'] = {
    param($a)
    $entry = Get-Entry $a['path']
    $dir = $entry -is [System.IO.DirectoryInfo]
    $size = [int64]0
    if (-not $dir) {
        $size = $entry.Length
    }
    $seconds = [int64][Math]::Floor(($entry.LastWriteTimeUtc.Ticks - 621355968000000000) / 10000000)
    Add-Row @{ size = $size; dir = $dir; modified = $seconds }
}

$verbs['file.read'] = {
    param($a)
    $entry = Get-Entry $a['path']
    $stream = New-Object System.IO.FileStream($entry.FullName, [System.IO.FileMode]::Open, [System.IO.FileAccess]::Read, [System.IO.FileShare]::ReadWrite)
    try {
        $size = $stream.Length
        $count = [int][Math]::Max(0, [Math]::Min([Math]::Min($a['count'], 4194304), $size - $a['offset']))
        $data = New-Object byte[] $count
        $at = 0
        if ($count -gt 0) {
            [void]$stream.Seek($a['offset'], [System.IO.SeekOrigin]::Begin)
        }
        while ($at -lt $count) {
            $n = $stream.Read($data, $at, $count - $at)
            if ($n -le 0) {
                Stop-Request 'deploy.Changed' 38 'the file became shorter while it was read'
            }
            $at = $at + $n
        }
    }
    finally {
        $stream.Close()
    }
    Add-Row @{ data = $data; size = $size }
}

function Write-Unpacked($data, $stream) {
    $packed = New-Object System.IO.MemoryStream
    $packed.Write($data, 0, $data.Length)
    [void]$packed.Seek(0, [System.IO.SeekOrigin]::Begin)
    $inflate = New-Object System.IO.Compression.DeflateStream($packed, [System.IO.Compression.CompressionMode]::Decompress)
    $buffer = New-Object byte[] 65536
    $n = $inflate.Read($buffer, 0, 65536)
    while ($n -gt 0) {
        $stream.Write($buffer, 0, $n)
        $n = $inflate.Read($buffer, 0, 65536)
    }
    $inflate.Close()
}

$verbs['file.put'] = {
    param($a)
    $mode = [System.IO.FileMode]::Create
    if ($a['offset'] -gt 0) {
        $mode = [System.IO.FileMode]::Open
    }
    $stream = New-Object System.IO.FileStream($a['path'], $mode, [System.IO.FileAccess]::Write, [System.IO.FileShare]::None)
    try {
        if ($stream.Length -ne $a['offset']) {
            Stop-Request 'deploy.Changed' 38 'the temporary file is not as long as it was left'
        }
        [void]$stream.Seek(0, [System.IO.SeekOrigin]::End)
        if ($a['packed']) {
            Write-Unpacked $a['data'] $stream
        }
        else {
            $stream.Write($a['data'], 0, $a['data'].Length)
        }
    }
    finally {
        $stream.Close()
    }
}

$verbs['file.commit'] = {
    param($a)
    $temp = $a['temp']
    $path = $a['path']
    if ((Get-Hash $temp) -ne $a['sha256']) {
        [System.IO.File]::Delete($temp)
        Stop-Request 'deploy.Hash' 23 'the file did not arrive whole'
    }
    if ((Get-Attribute $path) -eq -1) {
        [System.IO.File]::Move($temp, $path)
    }
    else {
        # Replace wants a name for the old file: PowerShell cannot hand it a null text.
        $old = $temp + '.old'
        [System.IO.File]::Replace($temp, $path, $old)
        [System.IO.File]::Delete($old)
    }
}

$verbs['file.hash'] = {
    param($a)
    $entry = Get-Entry $a['path']
    $sum = Get-Hash $entry.FullName
    Add-Row @{ sha256 = $sum; size = $entry.Length }
}

$verbs['file.remove'] = {
    param($a)
    $path = $a['path']
    $attributes = Get-Attribute $path
    if ($attributes -eq -1) {
        return
    }
    if ($attributes -band 16) {
        $full = (New-Object System.IO.DirectoryInfo($path)).FullName
        if ($full -eq [System.IO.Path]::GetPathRoot($full)) {
            Stop-Request 'deploy.Refused' 5 ('will not delete ' + $path)
        }
        [System.IO.Directory]::Delete($path, [bool]$a['tree'])
    }
    else {
        if ($attributes -band 1) {
            [System.IO.File]::SetAttributes($path, [System.IO.FileAttributes]::Normal)
        }
        [System.IO.File]::Delete($path)
    }
}

$verbs['dir.make'] = {
    param($a)
    [void][System.IO.Directory]::CreateDirectory($a['path'])
}

$verbs['dir.list'] = {
    param($a)
    $entry = Get-Entry $a['path']
    if (-not ($entry -is [System.IO.DirectoryInfo])) {
        Stop-Request 'deploy.NotDirectory' 267 ('not a directory: ' + $a['path'])
    }
    foreach ($x in @($entry.GetFileSystemInfos())) {
        $dir = $x -is [System.IO.DirectoryInfo]
        $size = [int64]0
        if (-not $dir) {
            $size = $x.Length
        }
        Add-Row @{ name = $x.Name; dir = $dir; size = $size }
    }
}

$verbs['acl.get'] = {
    param($a)
    $part = [System.Security.AccessControl.AccessControlSections]::Access
    $security = (Get-Entry $a['path']).GetAccessControl($part)
    Add-Row @{ sddl = $security.GetSecurityDescriptorSddlForm($part) }
}

$verbs['acl.set'] = {
    param($a)
    $entry = Get-Entry $a['path']
    if ($entry -is [System.IO.DirectoryInfo]) {
        $security = New-Object System.Security.AccessControl.DirectorySecurity
    }
    else {
        $security = New-Object System.Security.AccessControl.FileSecurity
    }
    $security.SetSecurityDescriptorSddlForm($a['sddl'], [System.Security.AccessControl.AccessControlSections]::Access)
    $entry.SetAccessControl($security)
}
