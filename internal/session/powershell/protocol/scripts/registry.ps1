# reg.*: values keep their types, and expandable text is not expanded. .NET knows the type NONE from 4.0 on; it does not tell the
# number of a type that it does not know, so such a value can be read and not written.

function Split-RegistryKey($key) {
    if ($key -notmatch '^HKLM\\') {
        Stop-Unsupported ('only keys of HKLM are served: ' + $key)
    }
    $key.Substring(5).Trim('\')
}

function Get-RegistryType($kind) {
    if ($kind -eq [Microsoft.Win32.RegistryValueKind]::String) {
        'string'
    }
    elseif ($kind -eq [Microsoft.Win32.RegistryValueKind]::ExpandString) {
        'expand'
    }
    elseif ($kind -eq [Microsoft.Win32.RegistryValueKind]::DWord) {
        'dword'
    }
    elseif ($kind -eq [Microsoft.Win32.RegistryValueKind]::QWord) {
        'qword'
    }
    elseif ($kind -eq [Microsoft.Win32.RegistryValueKind]::MultiString) {
        'multi'
    }
    elseif ($kind -eq [Microsoft.Win32.RegistryValueKind]::Binary) {
        'binary'
    }
    elseif ([string]$kind -eq 'None') {
        'none'
    }
    else {
        'unknown'
    }
}

function Open-RegistryKey($key, $write) {
    $k = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey((Split-RegistryKey $key), $write)
    if ($null -eq $k) {
        Stop-Absent ('there is no key ' + $key)
    }
    $k
}

$verbs['reg.get'] = {
    param($a)
    $k = Open-RegistryKey $a['key'] $false
    foreach ($name in @($k.GetValueNames())) {
        $kind = $k.GetValueKind($name)
        $data = $k.GetValue($name, $null, [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
        if ($kind -eq [Microsoft.Win32.RegistryValueKind]::DWord) {
            $data = ([int64]$data) -band 4294967295
        }
        Add-Row @{ name = $name; type = (Get-RegistryType $kind); data = $data }
    }
    $k.Close()
}

$verbs['reg.keys'] = {
    param($a)
    $k = Open-RegistryKey $a['key'] $false
    foreach ($name in @($k.GetSubKeyNames())) {
        Add-Row @{ name = $name }
    }
    $k.Close()
}

$verbs['reg.set'] = {
    param($a)
    $type = $a['type']
    $data = $a['data']
    if ($type -eq 'string') {
        $kind = [Microsoft.Win32.RegistryValueKind]::String
        $data = [string]$data
    }
    elseif ($type -eq 'expand') {
        $kind = [Microsoft.Win32.RegistryValueKind]::ExpandString
        $data = [string]$data
    }
    elseif ($type -eq 'dword') {
        $kind = [Microsoft.Win32.RegistryValueKind]::DWord
        $data = [BitConverter]::ToInt32([BitConverter]::GetBytes([uint32]$data), 0)
    }
    elseif ($type -eq 'qword') {
        $kind = [Microsoft.Win32.RegistryValueKind]::QWord
        $data = [int64]$data
    }
    elseif ($type -eq 'multi') {
        $kind = [Microsoft.Win32.RegistryValueKind]::MultiString
        $data = [string[]]@($data)
    }
    elseif ($type -eq 'binary') {
        $kind = [Microsoft.Win32.RegistryValueKind]::Binary
        $data = [byte[]]$data
    }
    elseif ($type -eq 'none' -and [System.Enum]::IsDefined([Microsoft.Win32.RegistryValueKind], 'None')) {
        $kind = [System.Enum]::Parse([Microsoft.Win32.RegistryValueKind], 'None')
        $data = [byte[]]$data
    }
    else {
        Stop-Unsupported ('there is no value type ' + $type)
    }
    $k = [Microsoft.Win32.Registry]::LocalMachine.CreateSubKey((Split-RegistryKey $a['key']))
    $k.SetValue([string]$a['name'], $data, $kind)
    $k.Close()
}

$verbs['reg.del'] = {
    param($a)
    $k = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey((Split-RegistryKey $a['key']), $true)
    if ($null -ne $k) {
        $k.DeleteValue([string]$a['name'], $false)
        $k.Close()
    }
}

$verbs['reg.delkey'] = {
    param($a)
    $sub = Split-RegistryKey $a['key']
    # HKLM\SOFTWARE and its like are never what is meant.
    if ($sub.IndexOf('\') -lt 0) {
        Stop-Request 'deploy.Refused' 5 ('will not delete ' + $a['key'])
    }
    $k = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($sub)
    if ($null -ne $k) {
        $k.Close()
        [Microsoft.Win32.Registry]::LocalMachine.DeleteSubKeyTree($sub)
    }
}
