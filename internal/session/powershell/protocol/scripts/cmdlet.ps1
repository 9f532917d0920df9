# cmdlet: one call of a cmdlet with its parameters as a table, and the properties that were asked for of each result.

function Import-Needed($load) {
    if (($load -eq '') -or $deploy['loaded'].ContainsKey($load)) {
        return
    }
    if ($load -match '^snapin:') {
        $snapin = $load.Substring(7)
        if (@(Get-PSSnapin -Name $snapin -ErrorAction SilentlyContinue).Count -eq 0) {
            if (@(Get-PSSnapin -Registered | Where-Object { $_.Name -eq $snapin }).Count -eq 0) {
                Stop-Unsupported ('no snap-in ' + $snapin)
            }
            Add-PSSnapin -Name $snapin
        }
    }
    else {
        if (@(Get-Module -Name $load -ListAvailable).Count -eq 0) {
            Stop-Unsupported ('no module ' + $load)
        }
        Import-Module -Name $load -Global
    }
    $deploy['loaded'][$load] = $true
}

# Follows a dotted name. A list on the way gives the list of what its elements have.
function Get-Selected($object, $parts) {
    $current = $object
    for ($i = 0; $i -lt $parts.Length; $i++) {
        if ($null -eq $current) {
            return $null
        }
        $property = $current.psobject.Properties[$parts[$i]]
        if ($null -ne $property) {
            $current = $property.Value
        }
        elseif (($current -is [System.Collections.IEnumerable]) -and (-not ($current -is [string]))) {
            $rest = [string[]]$parts[$i..($parts.Length - 1)]
            $list = New-Object System.Collections.ArrayList
            foreach ($x in $current) {
                [void]$list.Add((Get-Selected $x $rest))
            }
            return , $list.ToArray()
        }
        else {
            return $null
        }
    }
    return , $current
}

function Get-Word($value) {
    if ($null -eq $value) {
        return $null
    }
    if (($value -is [System.Collections.IEnumerable]) -and (-not ($value -is [string]))) {
        $list = New-Object System.Collections.ArrayList
        foreach ($x in $value) {
            [void]$list.Add([string]$x)
        }
        return , $list.ToArray()
    }
    return [string]$value
}

function Invoke-Cmdlet($a) {
    $name = [string]$a['name']
    if ($name -notmatch '^[A-Za-z]+-[A-Za-z0-9]+\z') {
        Stop-Unsupported ('not a cmdlet name: ' + $name)
    }
    Import-Needed ([string]$a['load'])
    $commands = @(Get-Command -Name $name -CommandType @('Cmdlet', 'Function') -ErrorAction SilentlyContinue)
    if ($commands.Count -eq 0) {
        Stop-Unsupported ('no cmdlet ' + $name)
    }
    $command = $commands[0]
    $parameters = @{}
    foreach ($k in @($a['params'].psbase.Keys)) {
        $parameters[$k] = $a['params'][$k]
    }
    # Not inside a loop: a break in a function of a module must reach the guard of the main loop.
    $objects = @(& $command @parameters)
    foreach ($o in $objects) {
        if ($null -eq $o) {
            continue
        }
        $row = @{}
        foreach ($path in @($a['select'])) {
            $plain = $path
            if ($path -match ':name$') {
                $plain = $path.Substring(0, $path.Length - 5)
            }
            $value = Get-Selected $o ($plain.Split('.'))
            if ($plain -ne $path) {
                $value = Get-Word $value
            }
            $row[$path] = $value
        }
        Add-Row $row
    }
}
