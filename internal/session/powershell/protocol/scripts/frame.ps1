# Answers framed requests from stdin on stdout. PowerShell 2.0 dialect; the talk is described in package protocol.
# Values come and go through the codec only: nothing that arrives is ever made into code.
param($reader, $nonce)

$utf8 = New-Object System.Text.UTF8Encoding($false)
$invariant = [System.Globalization.CultureInfo]::InvariantCulture
$language = [System.Threading.Thread]::CurrentThread.CurrentUICulture.LCID

# A child's stdin writer takes its encoding from the console and would begin with a byte order mark.
try {
    [Console]::InputEncoding = $utf8
}
catch {
}

# Functions see this table through PowerShell's dynamic scope; only its entries ever change.
$deploy = @{}
$deploy['loaded'] = @{}
$verbs = @{}

function Stop-Request($id, $code, $text) {
    $deploy['failure'] = @{ id = $id; code = [int64]$code; category = ''; type = ''; text = $text }
    throw 'deploy'
}

function Stop-Absent($text) {
    Stop-Request 'deploy.NotFound' 2 $text
}

function Stop-Unsupported($text) {
    Stop-Request 'deploy.Unsupported' 50 $text
}

# Lists would be unrolled on return, so the decoder leaves its value in the table.
function Read-Until([char]$end) {
    $i = $deploy['text'].IndexOf($end, $deploy['at'])
    if ($i -lt 0) {
        throw 'the request is cut short'
    }
    $deploy['text'].Substring($deploy['at'], $i - $deploy['at'])
    $deploy['at'] = $i + 1
}

function Read-Value {
    $mark = $deploy['text'].Substring($deploy['at'], 1)
    $deploy['at'] = $deploy['at'] + 1
    if ($mark -ceq 'n') {
        $deploy['value'] = $null
    }
    elseif ($mark -ceq 't') {
        $deploy['value'] = $true
    }
    elseif ($mark -ceq 'f') {
        $deploy['value'] = $false
    }
    elseif ($mark -ceq 'i') {
        $deploy['value'] = [int64]::Parse((Read-Until ';'), $invariant)
    }
    elseif ($mark -ceq 's') {
        $deploy['value'] = $utf8.GetString([Convert]::FromBase64String((Read-Until ';')))
    }
    elseif ($mark -ceq 'd') {
        $deploy['value'] = [Convert]::FromBase64String((Read-Until ';'))
    }
    elseif ($mark -ceq 'a') {
        $count = [int]::Parse((Read-Until ':'), $invariant)
        $list = New-Object System.Collections.ArrayList
        for ($i = 0; $i -lt $count; $i++) {
            Read-Value
            [void]$list.Add($deploy['value'])
        }
        $deploy['value'] = $list.ToArray()
    }
    elseif ($mark -ceq 'o') {
        $count = [int]::Parse((Read-Until ':'), $invariant)
        $map = @{}
        for ($i = 0; $i -lt $count; $i++) {
            Read-Value
            $key = [string]$deploy['value']
            Read-Value
            $map[$key] = $deploy['value']
        }
        $deploy['value'] = $map
    }
    else {
        throw 'the request has an unknown mark'
    }
}

function Add-Text($b, $text) {
    [void]$b.Append('s').Append([Convert]::ToBase64String($utf8.GetBytes([string]$text))).Append(';')
}

function Add-Number($b, $number) {
    [void]$b.Append('i').Append($number.ToString($invariant)).Append(';')
}

function Add-Map($b, $names, $values, $depth) {
    [void]$b.Append('o').Append($names.Count.ToString($invariant)).Append(':')
    for ($i = 0; $i -lt $names.Count; $i++) {
        Add-Text $b ($names[$i])
        Add-Value $b ($values[$i]) ($depth + 1)
    }
}

function Add-Value($b, $v, $depth) {
    if ($depth -gt 16) {
        throw 'the answer is nested too deeply'
    }
    if (($null -eq $v) -or ($v -is [System.DBNull])) {
        [void]$b.Append('n')
    }
    elseif ($v -is [bool]) {
        if ($v) {
            [void]$b.Append('t')
        }
        else {
            [void]$b.Append('f')
        }
    }
    elseif (($v -is [string]) -or ($v -is [char])) {
        Add-Text $b $v
    }
    elseif ($v -is [byte[]]) {
        [void]$b.Append('d').Append([Convert]::ToBase64String($v)).Append(';')
    }
    elseif ($v -is [System.Enum]) {
        Add-Wide $b ([System.Convert]::ToDecimal($v, $invariant))
    }
    elseif (($v -is [int]) -or ($v -is [long]) -or ($v -is [byte]) -or ($v -is [sbyte]) -or ($v -is [int16]) -or ($v -is [uint16]) -or ($v -is [uint32])) {
        Add-Number $b $v
    }
    elseif ($v -is [uint64]) {
        Add-Wide $b ([decimal]$v)
    }
    elseif (($v -is [double]) -or ($v -is [single])) {
        Add-Text $b ($v.ToString('R', $invariant))
    }
    elseif ($v -is [decimal]) {
        Add-Text $b ($v.ToString($invariant))
    }
    elseif ($v -is [datetime]) {
        Add-Text $b ($v.ToString('o', $invariant))
    }
    elseif ($v -is [System.Management.ManagementBaseObject]) {
        $names = New-Object System.Collections.ArrayList
        $values = New-Object System.Collections.ArrayList
        foreach ($p in $v.psbase.Properties) {
            [void]$names.Add($p.Name)
            [void]$values.Add($p.Value)
        }
        Add-Map $b $names $values $depth
    }
    elseif ($v -is [System.Collections.IDictionary]) {
        $names = New-Object System.Collections.ArrayList
        foreach ($k in $v.psbase.Keys) {
            [void]$names.Add([string]$k)
        }
        $names.Sort([System.StringComparer]::Ordinal)
        $values = New-Object System.Collections.ArrayList
        foreach ($k in $names) {
            [void]$values.Add($v[$k])
        }
        Add-Map $b $names $values $depth
    }
    elseif ($v -is [System.Collections.IEnumerable]) {
        $list = New-Object System.Collections.ArrayList
        foreach ($x in $v) {
            [void]$list.Add($x)
        }
        [void]$b.Append('a').Append($list.Count.ToString($invariant)).Append(':')
        foreach ($x in $list) {
            Add-Value $b $x ($depth + 1)
        }
    }
    else {
        Add-Text $b $v
    }
}

# A number of 64 bits without a sign may not fit the codec; then it goes as text.
function Add-Wide($b, $number) {
    if ($number -le [decimal][int64]::MaxValue) {
        Add-Number $b ([int64]$number)
    }
    else {
        Add-Text $b ($number.ToString($invariant))
    }
}

function Get-Encoded($v) {
    $b = New-Object System.Text.StringBuilder
    Add-Value $b $v 0
    $b.ToString()
}

# The empty line in front parts the frame from text that a cmdlet may have left without a line end.
function Send-Frame($id, $kind, $payload) {
    $w = $deploy['out']
    $head = $nonce + ' ' + $id.ToString($invariant) + ' '
    $w.Write("`n")
    $i = 0
    while (($payload.Length - $i) -gt 60000) {
        $w.Write($head + '+ ' + $payload.Substring($i, 60000) + "`n")
        $i = $i + 60000
    }
    $w.Write($head + $kind + ' ' + $payload.Substring($i) + "`n")
    $w.Flush()
}

function Add-Row($row) {
    $text = Get-Encoded $row
    [void]$deploy['rows'].Add($text)
    $deploy['size'] = $deploy['size'] + $text.Length
    if ($deploy['size'] -gt 500000) {
        Send-Rows
    }
}

function Send-Rows {
    $rows = $deploy['rows']
    if ($rows.Count -gt 0) {
        Send-Frame $deploy['id'] 'R' ('a' + $rows.Count.ToString($invariant) + ':' + [string]::Join('', [string[]]$rows.ToArray()))
    }
    $deploy['rows'] = New-Object System.Collections.ArrayList
    $deploy['size'] = 0
}

# The parts of an error that no language pack translates, and its text for people.
function Get-Failure($record) {
    $e = $record.Exception
    $wmi = $null
    while ($true) {
        if ($e -is [System.Management.ManagementException]) {
            $wmi = $e
        }
        if ($null -eq $e.InnerException) {
            break
        }
        $e = $e.InnerException
    }
    $id = [string]$record.FullyQualifiedErrorId
    if ($null -ne $wmi) {
        $e = $wmi
        $code = ([int64]$wmi.ErrorCode) -band 4294967295
        # Not found; then invalid namespace, class, and query (which is a property that the class lacks).
        if ($code -eq 2147749890) {
            $id = 'deploy.NotFound'
        }
        elseif (($code -eq 2147749902) -or ($code -eq 2147749904) -or ($code -eq 2147749911)) {
            $id = 'deploy.Unsupported'
        }
    }
    elseif ($e -is [System.ComponentModel.Win32Exception]) {
        $code = ([int64]$e.NativeErrorCode) -band 4294967295
    }
    else {
        $code = ([int64][System.Runtime.InteropServices.Marshal]::GetHRForException($e)) -band 4294967295
    }
    # No such object in the directory.
    if (($code -eq 2147950640) -and ($e -is [System.Runtime.InteropServices.COMException])) {
        $id = 'deploy.NotFound'
    }
    if ($id -match '^NamedParameterNotFound') {
        $id = 'deploy.Unsupported'
    }
    @{ id = $id; code = $code; category = [string]$record.CategoryInfo.Category; type = $e.GetType().FullName; text = $e.Message }
}

# Carries out one request and returns its failure, or nothing. Rows have been sent by then.
function Invoke-Request($number, $payload) {
    # What an earlier request changed must not change this one.
    [System.Threading.Thread]::CurrentThread.CurrentCulture = $invariant
    $ErrorActionPreference = 'Stop'
    $ProgressPreference = 'SilentlyContinue'
    $WarningPreference = 'SilentlyContinue'
    $VerbosePreference = 'SilentlyContinue'
    $DebugPreference = 'SilentlyContinue'
    # A module's functions do not see the lines above: they look in the outermost scope.
    foreach ($name in @('ErrorAction', 'Progress', 'Warning', 'Verbose', 'Debug')) {
        $wish = 'SilentlyContinue'
        if ($name -eq 'ErrorAction') {
            $wish = 'Stop'
        }
        $null = Set-Variable -Name ($name + 'Preference') -Value $wish -Scope Global
    }
    try {
        $null = Set-Location -Path ($env:SystemDrive + '\')
    }
    catch {
    }
    $Error.Clear()

    $deploy['id'] = $number
    $deploy['rows'] = New-Object System.Collections.ArrayList
    $deploy['size'] = 0
    $deploy['failure'] = $null
    $deploy['after'] = $null
    $deploy['finished'] = $false
    $failure = $null
    # One turn only: a break or continue in foreign code ends this loop and not the one that reads requests.
    foreach ($once in @(1)) {
        try {
            $deploy['text'] = $payload
            $deploy['at'] = 0
            $null = Read-Value
            if ($deploy['at'] -ne $payload.Length) {
                throw 'the request has something behind its end'
            }
            $request = $deploy['value']
            $deploy['value'] = $null
            $deploy['text'] = ''
            $verb = $verbs[[string]$request['verb']]
            if ($null -eq $verb) {
                Stop-Unsupported ('no verb ' + [string]$request['verb'])
            }
            if ($null -ne $request['args']['fence']) {
                $null = & $deploy['fence'] $request['args']['fence']
            }
            $null = & $verb $request['args']
            $null = Send-Rows
        }
        catch {
            $failure = $deploy['failure']
            if ($null -eq $failure) {
                $failure = Get-Failure $_
            }
        }
        $deploy['finished'] = $true
    }
    if (-not $deploy['finished']) {
        $failure = @{ id = 'deploy.Interrupted'; code = [int64]1223; category = ''; type = ''; text = 'the command left its caller' }
    }
    return $failure
}
