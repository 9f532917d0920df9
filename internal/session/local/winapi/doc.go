// Package winapi answers the requests of package node on Windows through the Windows API: registry,
// WMI, services, processes, security descriptors, scheduled tasks. Their meaning is fixed in
// package resident; the answers are those of its PowerShell script.
//
// Codes of files and of the registry are HRESULTs (0x8007 and the Win32 number), as .NET gives them
// to the script; a program that cannot be started gives the Win32 number itself; WMI gives its own
// (WbemErrorEnum).
//
// On other systems the package is empty.
package winapi
