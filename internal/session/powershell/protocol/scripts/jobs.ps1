# job.*: scheduled tasks that outlive the link. The program, its directory and its limit stand in a data file; the password
# goes to the scheduler as data (COM, or the standard input of schtasks on Windows 2003) and into no file or command line.

$jobs = $env:SystemRoot + '\deploy\jobs'

function Get-JobBase($id) {
    if ($id -notmatch '^[A-Za-z0-9._-]{1,100}\z') {
        Stop-Request 'deploy.BadName' 87 ('not a job name: ' + $id)
    }
    $jobs + '\' + $id
}

# Only administrators may put or change files here: what stands here is run with somebody's rights.
function New-JobBase($id) {
    $base = Get-JobBase $id
    $dir = [System.IO.Directory]::CreateDirectory($jobs)
    $security = New-Object System.Security.AccessControl.DirectorySecurity
    $security.SetSecurityDescriptorSddlForm('D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)', [System.Security.AccessControl.AccessControlSections]::Access)
    [void]$dir.SetAccessControl($security)
    $base
}

# $null on Windows 2003, whose scheduler has no such object.
function Get-Scheduler {
    if ([Environment]::OSVersion.Version.Major -lt 6) {
        return $null
    }
    $service = New-Object -ComObject Schedule.Service
    $service.Connect()
    return $service
}

function Invoke-Schtasks($line, $stdin) {
    $out = New-Object System.IO.MemoryStream
    $err = New-Object System.IO.MemoryStream
    $code = Invoke-Program ($env:SystemRoot + '\system32\schtasks.exe') $line '' $stdin 60000 $out $err
    if ($code -ne 0) {
        if ($null -eq $code) {
            $code = 1460
        }
        Stop-Request 'deploy.Schtasks' ($code -band 4294967295) ([Console]::OutputEncoding.GetString($err.ToArray()))
    }
}

function Register-Job($id, $base, $user, $password, $limit) {
    $shell = $env:SystemRoot + '\system32\WindowsPowerShell\v1.0\powershell.exe'
    $arguments = '-NoProfile -NonInteractive -InputFormat None -ExecutionPolicy Bypass -File ' + $base + '.ps1'
    $service = Get-Scheduler
    if ($null -eq $service) {
        # The run-as password is asked for on standard input.
        $line = '/Create /SC ONCE /ST 23:59:00 /TN ' + $id + ' /TR "powershell.exe ' + $arguments + '"'
        if ($user -eq '') {
            Invoke-Schtasks ($line + ' /RU SYSTEM') $null
        }
        else {
            if ($user -notmatch '^[^"/:*?<>|\x00-\x1f]+\z') {
                Stop-Request 'deploy.BadName' 87 'not a user name'
            }
            $bytes = [Console]::InputEncoding.GetBytes($password + "`r`n")
            Invoke-Schtasks ($line + ' /RU "' + $user + '" /RP *') $bytes
        }
        Invoke-Schtasks ('/Run /TN ' + $id) $null
        return
    }
    $task = $service.NewTask(0)
    $task.RegistrationInfo.Description = 'deploy job'
    $task.Settings.DisallowStartIfOnBatteries = $false
    $task.Settings.StopIfGoingOnBatteries = $false
    $task.Settings.MultipleInstances = 2
    $task.Settings.ExecutionTimeLimit = 'PT' + ($limit + 120).ToString($invariant) + 'S'
    $task.Principal.RunLevel = 1
    $action = $task.Actions.Create(0)
    $action.Path = $shell
    $action.Arguments = $arguments
    $folder = $service.GetFolder('\')
    if ($user -eq '') {
        # The account's name differs from language to language; its identifier does not.
        $system = New-Object System.Security.Principal.SecurityIdentifier('S-1-5-18')
        $name = $system.Translate([System.Security.Principal.NTAccount]).Value
        $registered = $folder.RegisterTaskDefinition($id, $task, 6, $name, $null, 5)
    }
    else {
        $registered = $folder.RegisterTaskDefinition($id, $task, 6, $user, $password, 1)
    }
    [void]$registered.Run($null)
}

$verbs['job.start'] = {
    param($a)
    $id = [string]$a['id']
    $base = Get-JobBase $id
    if ((Get-Attribute ($base + '.job')) -ne -1) {
        return
    }
    $base = New-JobBase $id
    $limit = [int64]14400
    if ($a['limit'] -gt 0) {
        $limit = [int64]$a['limit']
    }
    $lines = @()
    foreach ($field in @([string]@($a['argv'])[0], [string]$a['line'], [string]$a['dir'], $limit.ToString($invariant))) {
        $lines += [Convert]::ToBase64String($utf8.GetBytes($field))
    }
    [System.IO.File]::WriteAllBytes($base + '.ps1', [Convert]::FromBase64String($deploy['runner']))
    [System.IO.File]::WriteAllLines($base + '.job', [string[]]$lines)
    try {
        Register-Job $id $base ([string]$a['user']) ([string]$a['password']) $limit
    }
    catch {
        # Not known after all, so that it can be tried again.
        [System.IO.File]::Delete($base + '.job')
        throw
    }
}

function Get-JobPhase($base) {
    if ((Get-Attribute ($base + '.exit')) -ne -1) {
        return 'done'
    }
    if ((Get-Attribute ($base + '.lock')) -eq -1) {
        $age = [datetime]::UtcNow - [System.IO.File]::GetLastWriteTimeUtc($base + '.job')
        if ($age.TotalSeconds -lt 90) {
            return 'running'
        }
        return 'lost'
    }
    try {
        $probe = New-Object System.IO.FileStream(($base + '.lock'), [System.IO.FileMode]::Open, [System.IO.FileAccess]::ReadWrite, [System.IO.FileShare]::None)
        $probe.Close()
    }
    catch {
        if ((Get-Failure $_)['code'] -eq 2147942432) {
            return 'running'
        }
        throw
    }
    # It may have ended between the first look and this one.
    if ((Get-Attribute ($base + '.exit')) -ne -1) {
        return 'done'
    }
    return 'lost'
}

$verbs['job.state'] = {
    param($a)
    $base = Get-JobBase ([string]$a['id'])
    if ((Get-Attribute ($base + '.job')) -eq -1) {
        Stop-Absent ('there is no job ' + $a['id'])
    }
    $phase = Get-JobPhase $base
    $code = [int64]0
    if ($phase -eq 'done') {
        $code = [int64]::Parse([System.IO.File]::ReadAllText($base + '.exit'), $invariant)
    }
    $data = New-Object byte[] 0
    if ((Get-Attribute ($base + '.out')) -ne -1) {
        $stream = New-Object System.IO.FileStream(($base + '.out'), [System.IO.FileMode]::Open, [System.IO.FileAccess]::Read, [System.IO.FileShare]::ReadWrite)
        try {
            $count = [int][Math]::Min($stream.Length, 65536)
            [void]$stream.Seek(-$count, [System.IO.SeekOrigin]::End)
            $data = New-Object byte[] $count
            $n = 0
            $at = 0
            do {
                $n = $stream.Read($data, $at, $count - $at)
                $at = $at + $n
            } while ($n -gt 0)
        }
        finally {
            $stream.Close()
        }
    }
    Add-Row @{ phase = $phase; code = $code; output = $data }
}

$verbs['job.remove'] = {
    param($a)
    $id = [string]$a['id']
    $base = Get-JobBase $id
    if ((Get-Attribute ($base + '.job')) -eq -1) {
        return
    }
    if ((Get-JobPhase $base) -eq 'running') {
        Stop-Request 'deploy.Busy' 170 ('the job is running: ' + $id)
    }
    Remove-Job $id $base
}

function Remove-Job($id, $base) {
    $service = Get-Scheduler
    if ($null -eq $service) {
        Invoke-Schtasks ('/Delete /F /TN ' + $id) $null
    }
    else {
        try {
            $service.GetFolder('\').DeleteTask($id, 0)
        }
        catch {
            # Somebody deleted the task before us.
            if ((Get-Failure $_)['code'] -ne 2147942402) {
                throw
            }
        }
    }
    # The runner writes its exit file a moment before it lets go of its lock.
    for ($i = 0; $true; $i++) {
        try {
            [System.IO.File]::Delete($base + '.lock')
            break
        }
        catch {
            if ($i -ge 50) {
                throw
            }
            [System.Threading.Thread]::Sleep(100)
        }
    }
    foreach ($end in @('.ps1', '.out', '.exit', '.exit.tmp', '.job')) {
        [System.IO.File]::Delete($base + $end)
    }
}
