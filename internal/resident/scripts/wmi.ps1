# wmi.* and cmdlet. Class and property names are checked against the shape of a name before they stand in a query;
# values never stand in one: instances are filtered here.

function Test-Name($name) {
    if ($name -notmatch '^[A-Za-z_][A-Za-z0-9_]*$') {
        Stop-Unsupported ('not a name: ' + $name)
    }
}

function Get-WmiScope($namespace) {
    $scope = New-Object System.Management.ManagementScope('\\.\' + $namespace)
    $scope.Options.EnablePrivileges = $true
    $scope.Options.Authentication = [System.Management.AuthenticationLevel]::PacketPrivacy
    $scope.Connect()
    $scope
}

# Equality as requests mean it: text without case, numbers by value.
function Test-Same($have, $want) {
    if (($null -eq $have) -or ($null -eq $want)) {
        return (($null -eq $have) -and ($null -eq $want))
    }
    if (($have -is [bool]) -or ($want -is [bool])) {
        return (([string]$have) -eq ([string]$want))
    }
    return [string]::Equals([string]$have, [string]$want, [System.StringComparison]::OrdinalIgnoreCase)
}

function Find-Instance($scope, $class, $props, $where) {
    Test-Name $class
    $wanted = New-Object System.Collections.ArrayList
    foreach ($p in @($props) + @($where.psbase.Keys)) {
        Test-Name $p
        if (-not ($wanted -contains $p)) {
            [void]$wanted.Add($p)
        }
    }
    $list = '*'
    if (@($props).Count -gt 0) {
        $list = [string]::Join(', ', [string[]]$wanted.ToArray())
    }
    $query = New-Object System.Management.ObjectQuery('SELECT ' + $list + ' FROM ' + $class)
    $searcher = New-Object System.Management.ManagementObjectSearcher($scope, $query)
    foreach ($o in $searcher.Get()) {
        $keep = $true
        foreach ($name in @($where.psbase.Keys)) {
            if (-not (Test-Same ($o.psbase.Properties[$name].Value) ($where[$name]))) {
                $keep = $false
            }
        }
        if ($keep) {
            $o
        }
    }
}

$verbs['wmi.get'] = {
    param($a)
    $props = @($a['props'])
    $scope = Get-WmiScope $a['ns']
    foreach ($o in @(Find-Instance $scope $a['class'] $props $a['where'])) {
        $row = @{}
        if ($props.Count -eq 0) {
            foreach ($p in $o.psbase.Properties) {
                $row[$p.Name] = $p.Value
            }
        }
        foreach ($name in $props) {
            $row[$name] = $o.psbase.Properties[$name].Value
        }
        Add-Row $row
    }
}

# An argument list arrives as objects; the class says what its elements must be.
function ConvertTo-CimValue($property, $value) {
    if (($null -eq $value) -or (-not $property.IsArray)) {
        if ($value -is [System.Collections.IDictionary]) {
            Stop-Unsupported 'an object as a method argument'
        }
        $property.Value = $value
        return
    }
    $type = [string]$property.Type
    if ($type -eq 'String') {
        $property.Value = [string[]]@($value)
    }
    elseif ($type -eq 'UInt8') {
        $property.Value = [byte[]]@($value)
    }
    elseif ($type -eq 'UInt16') {
        $property.Value = [uint16[]]@($value)
    }
    elseif ($type -eq 'UInt32') {
        $property.Value = [uint32[]]@($value)
    }
    elseif ($type -eq 'SInt32') {
        $property.Value = [int[]]@($value)
    }
    elseif ($type -eq 'Boolean') {
        $property.Value = [bool[]]@($value)
    }
    else {
        $property.Value = @($value)
    }
}

$verbs['wmi.call'] = {
    param($a)
    Test-Name $a['class']
    $method = [string]$a['method']
    $scope = Get-WmiScope $a['ns']
    $class = New-Object System.Management.ManagementClass($scope, (New-Object System.Management.ManagementPath($a['class'])), $null)
    $class.psbase.Get()
    $known = $false
    foreach ($m in $class.psbase.Methods) {
        if ($m.Name -eq $method) {
            $known = $true
        }
    }
    if (-not $known) {
        Stop-Unsupported ($a['class'] + ' has no method ' + $method)
    }
    $target = $class
    if ($a['where'].psbase.Count -gt 0) {
        $found = @(Find-Instance $scope $a['class'] @() $a['where'])
        if ($found.Count -eq 0) {
            Stop-Absent ('no instance of ' + $a['class'])
        }
        if ($found.Count -gt 1) {
            Stop-Request 'deploy.Ambiguous' 87 ('more than one instance of ' + $a['class'])
        }
        $target = $found[0]
    }
    $arguments = $class.psbase.GetMethodParameters($method)
    foreach ($name in @($a['args'].psbase.Keys)) {
        $property = $null
        if ($null -ne $arguments) {
            foreach ($p in $arguments.psbase.Properties) {
                if ($p.Name -eq $name) {
                    $property = $p
                }
            }
        }
        if ($null -eq $property) {
            Stop-Unsupported ($a['class'] + '.' + $method + ' has no argument ' + $name)
        }
        ConvertTo-CimValue $property ($a['args'][$name])
    }
    $answer = $target.psbase.InvokeMethod($method, $arguments, $null)
    if ($null -ne $answer) {
        Add-Row $answer
    }
    else {
        Add-Row @{ ReturnValue = 0 }
    }
}

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

$verbs['cmdlet'] = {
    param($a)
    $name = [string]$a['name']
    if ($name -notmatch '^[A-Za-z]+-[A-Za-z0-9]+$') {
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
