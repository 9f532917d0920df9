# The verb cmdlet, and how a cmdlet is run for another user.

# Runs a cmdlet in a scheduled task of another user and passes on what it answered. A network logon has no second hop, so this is
# how a cmdlet that talks to another machine gets a logon that may. The password goes to the scheduler and nowhere else.
function Invoke-CmdletAs($a) {
    $id = 'deploy-cmdlet-' + [Guid]::NewGuid().ToString('N')
    $base = New-JobBase $id
    $request = @{ verb = 'cmdlet'; args = @{ name = $a['name']; load = $a['load']; params = $a['params']; select = $a['select'] } }
    [System.IO.File]::WriteAllText($base + '.job', (Get-Encoded $request))
    [System.IO.File]::WriteAllBytes($base + '.ps1', [Convert]::FromBase64String($deploy['once']))
    try {
        Register-Job $id $base ([string]$a['user']) ([string]$a['password']) 3600
        $phase = 'running'
        while ($phase -eq 'running') {
            [System.Threading.Thread]::Sleep(100)
            $phase = Get-JobPhase $base
        }
        if ($phase -ne 'done') {
            Stop-Request 'deploy.Lost' 1067 'the task of the other user ended without an answer'
        }
        foreach ($line in [System.IO.File]::ReadAllLines($base + '.out')) {
            $fields = $line.Split(' ')
            if ($fields.Length -ne 4) {
                continue
            }
            if ($fields[2] -ceq 'E') {
                $deploy['text'] = $fields[3]
                $deploy['at'] = 0
                Read-Value
                $deploy['failure'] = $deploy['value']
                throw 'deploy'
            }
            if (($fields[2] -ceq 'R') -or ($fields[2] -ceq '+')) {
                $deploy['out'].Write("`n" + $nonce + ' ' + $deploy['id'].ToString($invariant) + ' ' + $fields[2] + ' ' + $fields[3] + "`n")
            }
        }
    }
    finally {
        Remove-Job $id $base
    }
}

$verbs['cmdlet'] = {
    param($a)
    if ($a['user']) {
        Invoke-CmdletAs $a
    }
    else {
        Invoke-Cmdlet $a
    }
}
