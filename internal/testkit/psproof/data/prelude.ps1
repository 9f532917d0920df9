# Runs in front of the resident script: the classes that stand in for those of Windows, and what shells without them lack.
Add-Type -IgnoreWarnings -TypeDefinition ([System.IO.File]::ReadAllText($env:PSPROOF_DATA + '/stubs.cs'))

# A shell without a system drive gets one, and what would be written below the system's folder goes into the test's.
$env:SystemRoot = $env:PSPROOF_ROOT
$env:SystemDrive = $env:PSPROOF_DIR

foreach ($kind in @('System.IO.DirectoryInfo', 'System.IO.FileInfo')) {
    Update-TypeData -Force -TypeName $kind -MemberType ScriptMethod -MemberName SetAccessControl -Value {
        param($security)
        [DeployStub.Record]::Add('SetAccessControl', $this.FullName, $security.Sddl)
    }
    Update-TypeData -Force -TypeName $kind -MemberType ScriptMethod -MemberName GetAccessControl -Value {
        param($sections)
        $security = New-Object DeployStub.Acl.FileSecurity
        $security.SetSecurityDescriptorSddlForm('D:P(A;;FA;;;BA)', $sections)
        $security
    }
}

# Snap-ins are Windows PowerShell's: one is registered, and adding it is kept.
function global:Get-PSSnapin {
    param($Name, [switch]$Registered)
    if ($Registered) {
        New-Object PSObject -Property @{ Name = 'Proof.Snapin' }
    }
}

function global:Add-PSSnapin {
    param($Name)
    [DeployStub.Record]::Add('Add-PSSnapin', $Name)
}
