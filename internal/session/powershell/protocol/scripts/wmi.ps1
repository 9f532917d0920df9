# wmi.*: class and property names are checked against the shape of a name before they stand in a query;
# values never stand in one: instances are filtered here.

function Test-Name($name) {
    if ($name -notmatch '^[A-Za-z_][A-Za-z0-9_]*\z') {
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

function Get-CimProperty($object, $name) {
    foreach ($p in $object.psbase.Properties) {
        if ($p.Name -eq $name) {
            return $p
        }
    }
    Stop-Unsupported ('there is no property ' + $name)
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

# Sets properties of one instance and puts it back. A dotted name sets a property inside an embedded object.
$verbs['wmi.set'] = {
    param($a)
    $scope = Get-WmiScope $a['ns']
    $found = @(Find-Instance $scope $a['class'] @() $a['where'])
    if ($found.Count -eq 0) {
        Stop-Absent ('no instance of ' + $a['class'])
    }
    if ($found.Count -gt 1) {
        Stop-Request 'deploy.Ambiguous' 87 ('more than one instance of ' + $a['class'])
    }
    $target = $found[0]
    foreach ($path in @($a['set'].psbase.Keys)) {
        $parts = $path.Split('.')
        $outer = Get-CimProperty $target $parts[0]
        if ($parts.Length -eq 1) {
            ConvertTo-CimValue $outer ($a['set'][$path])
        }
        elseif (($parts.Length -eq 2) -and ($outer.Value -is [System.Management.ManagementBaseObject])) {
            # The embedded object is a copy: it is put back whole.
            $inner = $outer.Value
            ConvertTo-CimValue (Get-CimProperty $inner $parts[1]) ($a['set'][$path])
            $outer.Value = $inner
        }
        else {
            Stop-Unsupported ($a['class'] + ' has no embedded object for ' + $path)
        }
    }
    [void]$target.psbase.Put()
}
