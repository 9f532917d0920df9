# ad.*: Active Directory through the domain controller's own connection.

function Get-AdPath($dn) {
    # A slash parts the server from the name in such a path, so one in the name is escaped.
    'LDAP://' + $dn.Replace('/', '\/')
}

function Open-AdObject($dn) {
    $object = New-Object System.DirectoryServices.DirectoryEntry((Get-AdPath $dn))
    $object.psbase.RefreshCache()
    $object
}

$verbs['ad.find'] = {
    param($a)
    $base = [string]$a['base']
    if ($base -eq '') {
        $root = Open-AdObject 'RootDSE'
        $row = @{ dn = '' }
        foreach ($name in @($a['attrs'])) {
            $row[$name] = @($root.psbase.Properties[$name])
        }
        Add-Row $row
        return
    }
    $start = Open-AdObject $base
    $searcher = New-Object System.DirectoryServices.DirectorySearcher($start)
    $searcher.Filter = '(objectClass=*)'
    if ($a['filter']) {
        $searcher.Filter = [string]$a['filter']
    }
    if ($a['scope'] -eq 'base') {
        $searcher.SearchScope = [System.DirectoryServices.SearchScope]::Base
    }
    elseif ($a['scope'] -eq 'one') {
        $searcher.SearchScope = [System.DirectoryServices.SearchScope]::OneLevel
    }
    else {
        $searcher.SearchScope = [System.DirectoryServices.SearchScope]::Subtree
    }
    $searcher.PageSize = 500
    [void]$searcher.PropertiesToLoad.Add('distinguishedName')
    foreach ($name in @($a['attrs'])) {
        [void]$searcher.PropertiesToLoad.Add([string]$name)
    }
    $results = $searcher.FindAll()
    foreach ($r in $results) {
        $row = @{ dn = [string]$r.Properties['distinguishedname'][0] }
        foreach ($name in @($a['attrs'])) {
            $values = New-Object System.Collections.ArrayList
            foreach ($v in $r.Properties[$name.ToLowerInvariant()]) {
                if ($null -ne $v) {
                    [void]$values.Add($v)
                }
            }
            $row[$name] = $values.ToArray()
        }
        Add-Row $row
    }
    $results.Dispose()
}

function Set-AdAttribute($object, $name, $value) {
    $property = $object.psbase.Properties[$name]
    $property.Clear()
    if ($value -is [byte[]]) {
        [void]$property.Add($value)
        return
    }
    foreach ($v in @($value)) {
        if ($null -eq $v) {
            continue
        }
        # Attributes of 32 bits refuse a wider number; those of 64 take text.
        if ($v -is [int64]) {
            if (($v -ge -2147483648) -and ($v -le 2147483647)) {
                $v = [int]$v
            }
            else {
                $v = $v.ToString($invariant)
            }
        }
        [void]$property.Add($v)
    }
}

# Where the first part of a distinguished name ends; a backslash escapes a comma.
function Split-Dn($dn) {
    $i = 0
    while ($i -lt $dn.Length) {
        if ($dn[$i] -eq '\') {
            $i = $i + 2
        }
        elseif ($dn[$i] -eq ',') {
            return @($dn.Substring(0, $i), $dn.Substring($i + 1))
        }
        else {
            $i = $i + 1
        }
    }
    Stop-Request 'deploy.BadName' 87 ('not a name below another: ' + $dn)
}

$verbs['ad.add'] = {
    param($a)
    $parts = @(Split-Dn ([string]$a['dn']))
    $parent = Open-AdObject $parts[1]
    $object = $parent.psbase.Children.Add($parts[0].Replace('/', '\/'), [string]$a['class'])
    foreach ($name in @($a['attrs'].psbase.Keys)) {
        Set-AdAttribute $object $name ($a['attrs'][$name])
    }
    $object.psbase.CommitChanges()
}

$verbs['ad.mod'] = {
    param($a)
    $object = Open-AdObject ([string]$a['dn'])
    foreach ($name in @($a['set'].psbase.Keys)) {
        Set-AdAttribute $object $name ($a['set'][$name])
    }
    $object.psbase.CommitChanges()
}

$verbs['ad.del'] = {
    param($a)
    $object = Open-AdObject ([string]$a['dn'])
    $object.psbase.DeleteTree()
    $object.psbase.CommitChanges()
}
