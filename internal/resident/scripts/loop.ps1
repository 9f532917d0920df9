# facts, restart, and the loop that answers.

function Get-First($class) {
    foreach ($o in @(Find-Instance (Get-WmiScope 'root\cimv2') $class @() @{})) {
        return $o
    }
}

$verbs['facts'] = {
    param($a)
    $os = Get-First 'Win32_OperatingSystem'
    $computer = Get-First 'Win32_ComputerSystem'
    $machine = $env:PROCESSOR_ARCHITECTURE
    if ($env:PROCESSOR_ARCHITEW6432) {
        $machine = $env:PROCESSOR_ARCHITEW6432
    }
    $arch = $machine.ToLowerInvariant()
    if ($arch -eq 'x86') {
        $arch = '386'
    }
    $domain = ''
    # 0 and 2 are members of a workgroup.
    if (($computer.psbase.Properties['DomainRole'].Value -ne 0) -and ($computer.psbase.Properties['DomainRole'].Value -ne 2)) {
        $domain = [string]$computer.psbase.Properties['Domain'].Value
    }
    $user = New-Object System.Security.Principal.WindowsPrincipal([System.Security.Principal.WindowsIdentity]::GetCurrent())
    $version = $PSVersionTable['PSVersion']
    Add-Row @{
        version = $os.psbase.Properties['Version'].Value
        build = [int64]$os.psbase.Properties['BuildNumber'].Value
        sp = $os.psbase.Properties['ServicePackMajorVersion'].Value
        computer = $computer.psbase.Properties['Name'].Value
        domain = $domain
        domain_role = $computer.psbase.Properties['DomainRole'].Value
        boot_id = [string]$os.psbase.Properties['LastBootUpTime'].Value
        powershell = $version.Major.ToString($invariant) + '.' + $version.Minor.ToString($invariant)
        ui_language = $language
        arch = $arch
        privileged = $user.IsInRole([System.Security.Principal.WindowsBuiltInRole]::Administrator)
    }
}

$verbs['restart'] = {
    param($a)
    $os = Get-First 'Win32_OperatingSystem'
    # From Windows 2008 on the shutdown can be asked for in two seconds, so a refusal is still an answer.
    # 6 is a forced restart; the reason is "application, installation, planned".
    foreach ($m in (New-Object System.Management.ManagementClass('Win32_OperatingSystem')).psbase.Methods) {
        if ($m.Name -eq 'Win32ShutdownTracker') {
            $call = $os.psbase.GetMethodParameters('Win32ShutdownTracker')
            $call.psbase.Properties['Timeout'].Value = [uint32]2
            $call.psbase.Properties['Comment'].Value = [string]$a['reason']
            $call.psbase.Properties['ReasonCode'].Value = [uint32]2147745794
            $call.psbase.Properties['Flags'].Value = 6
            $result = $os.psbase.InvokeMethod('Win32ShutdownTracker', $call, $null).psbase.Properties['ReturnValue'].Value
            if ($result -ne 0) {
                Stop-Request 'deploy.Restart' $result 'the machine refused to restart'
            }
            return
        }
    }
    # Before that the answer must be out before the machine begins to end this process.
    $call = $os.psbase.GetMethodParameters('Win32Shutdown')
    $call.psbase.Properties['Flags'].Value = 6
    $deploy['machine'] = $os
    $deploy['call'] = $call
    $deploy['after'] = {
        [System.Threading.Thread]::Sleep(2000)
        [void]$deploy['machine'].psbase.InvokeMethod('Win32Shutdown', $deploy['call'], $null)
    }
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

Send-Frame 0 'H' (Get-Encoded @{ protocol = 1; process = [System.Diagnostics.Process]::GetCurrentProcess().Id })

$last = [int64]0
$pieces = New-Object System.Text.StringBuilder
while ($true) {
    $line = $reader.ReadLine()
    if ($null -eq $line) {
        break
    }
    $fields = $line.Split(' ')
    if (($fields.Length -ne 4) -or ($fields[0] -cne $nonce)) {
        continue
    }
    if ($fields[2] -ceq 'X') {
        break
    }
    [void]$pieces.Append($fields[3])
    if ($fields[2] -cne 'Q') {
        continue
    }
    $payload = $pieces.ToString()
    $pieces = New-Object System.Text.StringBuilder
    $number = [int64]::Parse($fields[1], $invariant)
    # A repeat after a lost answer: what it asks may have been done.
    if ($number -le $last) {
        continue
    }
    $last = $number

    # What an earlier request changed must not change this one.
    [System.Threading.Thread]::CurrentThread.CurrentCulture = $invariant
    $ErrorActionPreference = 'Stop'
    $ProgressPreference = 'SilentlyContinue'
    $WarningPreference = 'SilentlyContinue'
    $VerbosePreference = 'SilentlyContinue'
    $DebugPreference = 'SilentlyContinue'
    Set-Location -Path ($env:SystemDrive + '\')
    $Error.Clear()

    $deploy['id'] = $number
    $deploy['rows'] = New-Object System.Collections.ArrayList
    $deploy['size'] = 0
    $deploy['failure'] = $null
    $deploy['after'] = $null
    $finished = $false
    $failure = $null
    # One turn only: a break or continue in foreign code ends this loop and not ours.
    foreach ($once in @(1)) {
        try {
            $deploy['text'] = $payload
            $deploy['at'] = 0
            Read-Value
            $request = $deploy['value']
            $deploy['value'] = $null
            $deploy['text'] = ''
            $verb = $verbs[[string]$request['verb']]
            if ($null -eq $verb) {
                Stop-Unsupported ('no verb ' + [string]$request['verb'])
            }
            $null = & $verb $request['args']
            Send-Rows
        }
        catch {
            $failure = $deploy['failure']
            if ($null -eq $failure) {
                $failure = Get-Failure $_
            }
        }
        $finished = $true
    }
    if (-not $finished) {
        $failure = @{ id = 'deploy.Interrupted'; code = [int64]1223; category = ''; type = ''; text = 'the command left its caller' }
    }
    if ($null -ne $failure) {
        Send-Frame $number 'E' (Get-Encoded $failure)
    }
    else {
        Send-Frame $number 'D' 'n'
    }
    if (($null -ne $deploy['after']) -and ($null -eq $failure)) {
        $null = & $deploy['after']
    }
}
