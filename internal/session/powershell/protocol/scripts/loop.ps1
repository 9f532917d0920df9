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

$deploy['out'] = New-Object System.IO.StreamWriter([Console]::OpenStandardOutput(), $utf8, 65536)
Send-Frame 0 'H' (Get-Encoded @{ protocol = 1; process = [System.Diagnostics.Process]::GetCurrentProcess().Id })

$last = [int64]0
$open = ''
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
    # What is left of a request that was given up half way must not stand before the next one.
    if ($fields[1] -cne $open) {
        $pieces = New-Object System.Text.StringBuilder
        $open = $fields[1]
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

    $failure = Invoke-Request $number $payload
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
