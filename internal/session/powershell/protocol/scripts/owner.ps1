# owner.*: which controller is in charge of this machine. A record is JSON, of which PowerShell 2.0 has no reader: each member of
# the outermost object stands on a line of its own.

$owners = 'SOFTWARE\deploy\Owner'

function Get-OwnerRecord($site) {
    $k = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($owners)
    $text = ''
    if ($null -ne $k) {
        $text = [string]$k.GetValue([string]$site, '', [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
        $k.Close()
    }
    $text
}

function Set-OwnerRecord($site, $text) {
    $k = [Microsoft.Win32.Registry]::LocalMachine.CreateSubKey($owners)
    if ($text -ne '') {
        $k.SetValue([string]$site, [string]$text, [Microsoft.Win32.RegistryValueKind]::String)
        # An act must not reach the disk before what says whose it is.
        $k.Flush()
        $k.Close()
        return
    }
    $k.DeleteValue([string]$site, $false)
    $k.Close()
    foreach ($key in @($owners, 'SOFTWARE\deploy')) {
        $k = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($key)
        $count = $k.ValueCount + $k.SubKeyCount
        $k.Close()
        if ($count -gt 0) {
            return
        }
        [Microsoft.Win32.Registry]::LocalMachine.DeleteSubKey($key, $false)
    }
}

function Get-OwnerMember($text, $name) {
    if ($text -cmatch ('(?m)^  "' + $name + '": "?([A-Za-z0-9._:-]+)"?,?\r?$')) {
        return $matches[1]
    }
    return ''
}

function Stop-Superseded($text) {
    Stop-Request 'deploy.Superseded' 1306 $text
}

# Stops a request of a controller that is not in charge any more. It stands in the table because a cmdlet for another user is
# served without it.
$deploy['fence'] = {
    param($fence)
    $text = Get-OwnerRecord $fence['site']
    $epoch = Get-OwnerMember $text 'epoch'
    if (((Get-OwnerMember $text 'format') -cne '1') -or ((Get-OwnerMember $text 'journal') -cne [string]$fence['journal']) -or ($epoch -notmatch '^[0-9]{1,18}\z')) {
        Stop-Superseded $text
    }
    $epoch = [int64]::Parse($epoch, $invariant)
    if ($epoch -gt [int64]$fence['epoch']) {
        Stop-Superseded $text
    }
    if (([string]$fence['run'] -ne '') -and ($epoch -eq [int64]$fence['epoch']) -and ((Get-OwnerMember $text 'run') -cne [string]$fence['run'])) {
        Stop-Superseded $text
    }
    $record = [string]$fence['record']
    if (($record -ne '') -and ($record -cne $text)) {
        Set-OwnerRecord $fence['site'] $record
    }
}

$verbs['owner.get'] = {
    param($a)
    $k = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($owners)
    if ($null -ne $k) {
        foreach ($name in @($k.GetValueNames())) {
            Add-Row @{ site = $name; record = (Get-OwnerRecord $name) }
        }
        $k.Close()
    }
}

$verbs['owner.set'] = {
    param($a)
    $text = Get-OwnerRecord $a['site']
    if ($text -cne [string]$a['was']) {
        Stop-Superseded $text
    }
    Set-OwnerRecord $a['site'] ([string]$a['record'])
}
