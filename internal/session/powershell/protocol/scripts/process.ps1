# Runs one program with its streams apart from ours: our stdin is the request stream, and a full pipe would stop the child.
# Shared by the verb "run" and by the runner of jobs. $limit is in milliseconds; 0 is no limit. $null comes back when it was reached.
function Invoke-Program($file, $line, $dir, $stdin, $limit, $out, $err) {
    $info = New-Object System.Diagnostics.ProcessStartInfo
    $info.FileName = $file
    $info.Arguments = $line
    if ($dir) {
        $info.WorkingDirectory = $dir
    }
    else {
        $info.WorkingDirectory = $env:SystemRoot
    }
    $info.UseShellExecute = $false
    $info.CreateNoWindow = $true
    $info.RedirectStandardInput = $true
    $info.RedirectStandardOutput = $true
    $info.RedirectStandardError = $true
    $process = New-Object System.Diagnostics.Process
    $process.StartInfo = $info
    [void]$process.Start()
    $clock = [System.Diagnostics.Stopwatch]::StartNew()

    # Reads are polled, not called back: a script block cannot run on the thread that a callback comes on.
    $sources = @($process.StandardOutput.BaseStream, $process.StandardError.BaseStream)
    $sinks = @($out, $err)
    $buffers = @((New-Object byte[] 16384), (New-Object byte[] 16384))
    $reads = @($null, $null)
    for ($i = 0; $i -lt 2; $i++) {
        $reads[$i] = $sources[$i].BeginRead($buffers[$i], 0, 16384, $null, $null)
    }
    $feed = $null
    if (($null -ne $stdin) -and ($stdin.Length -gt 0)) {
        $feed = $process.StandardInput.BaseStream.BeginWrite($stdin, 0, $stdin.Length, $null, $null)
    }
    else {
        $process.StandardInput.Close()
    }

    $left = $null
    while (($null -ne $reads[0]) -or ($null -ne $reads[1])) {
        $handles = New-Object System.Collections.ArrayList
        for ($i = 0; $i -lt 2; $i++) {
            if ($null -ne $reads[$i]) {
                [void]$handles.Add($reads[$i].AsyncWaitHandle)
            }
        }
        if ($null -ne $feed) {
            [void]$handles.Add($feed.AsyncWaitHandle)
        }
        [void][System.Threading.WaitHandle]::WaitAny([System.Threading.WaitHandle[]]$handles.ToArray(), 200, $false)
        $quiet = $true
        for ($i = 0; $i -lt 2; $i++) {
            if (($null -ne $reads[$i]) -and $reads[$i].IsCompleted) {
                $quiet = $false
                $n = $sources[$i].EndRead($reads[$i])
                $reads[$i] = $null
                if ($n -gt 0) {
                    $sinks[$i].Write($buffers[$i], 0, $n)
                    $sinks[$i].Flush()
                    $reads[$i] = $sources[$i].BeginRead($buffers[$i], 0, 16384, $null, $null)
                }
            }
        }
        if (($null -ne $feed) -and $feed.IsCompleted) {
            # A program that does not read to the end is no failure of ours.
            try {
                $process.StandardInput.BaseStream.EndWrite($feed)
                $process.StandardInput.Close()
            }
            catch {
            }
            $feed = $null
        }
        if (($limit -gt 0) -and ($clock.ElapsedMilliseconds -gt $limit)) {
            Stop-Tree $process
            return $null
        }
        # A grandchild that lives on may hold the pipes open for ever.
        if ($quiet -and $process.HasExited) {
            if ($null -eq $left) {
                $left = $clock.ElapsedMilliseconds
            }
            if (($clock.ElapsedMilliseconds - $left) -gt 2000) {
                $reads = @($null, $null)
            }
        }
    }
    while (-not $process.WaitForExit(200)) {
        if (($limit -gt 0) -and ($clock.ElapsedMilliseconds -gt $limit)) {
            Stop-Tree $process
            return $null
        }
    }
    return [int64]$process.ExitCode
}

function Stop-Tree($process) {
    try {
        $info = New-Object System.Diagnostics.ProcessStartInfo
        $info.FileName = $env:SystemRoot + '\system32\taskkill.exe'
        $info.Arguments = '/F /T /PID ' + $process.Id.ToString([System.Globalization.CultureInfo]::InvariantCulture)
        $info.UseShellExecute = $false
        $info.CreateNoWindow = $true
        [void][System.Diagnostics.Process]::Start($info).WaitForExit(10000)
    }
    catch {
    }
    # Without taskkill, or when it did not get through, at least the program itself.
    try {
        if (-not $process.HasExited) {
            $process.Kill()
        }
    }
    catch {
    }
}
