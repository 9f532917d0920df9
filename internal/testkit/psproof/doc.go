// Package psproof runs the resident script in a real PowerShell and holds every answer, and every
// call that the script makes, to what is expected. It has tests only. Where there is no pwsh they
// are skipped; `make powershell-proof` builds them for a machine that has one and neither Go nor a
// network.
//
// What only Windows has is put in place by data/stubs.cs: the script's names of WMI, registry,
// directory, access lists, principals and the task scheduler are renamed to classes of the same
// members that keep what they are asked in a file. Files, processes, streams, errors, scopes, the
// codec and the loop are PowerShell's and .NET's own. The cmdlets that the kinds declare are
// functions of a module which keep their parameters in the same file.
package psproof
