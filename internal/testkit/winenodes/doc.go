// Package winenodes runs programs that were built for Windows, for tests: on Wine, an
// implementation of the Windows API that is independent of Microsoft's and of ours. It needs Linux
// and root, for namespaces and a changed root; the Windows programs themselves run as an ordinary
// user.
//
// Wine comes from a Debian 13 tree, whichever system the tests run on, so that every run has the
// same Wine (10). The tree and a prepared prefix (Wine's drive C: and registry) are built once and
// kept in a cache; every use gets an overlay of its own over them.
//
// Wine has programs that do nothing and say that all went well (netsh, icacls, powershell and many
// more). A test could pass because one of them said so. Each is covered by a program that fails
// loudly with LoudCode. What Wine may judge, and what judges the rest, is in docs/dev/testing.md.
package winenodes

// LoudCode is the exit code of the programs that stand over those which Wine only pretends to have.
const LoudCode = 97

// The Windows Installer package that lies on every prefix, what it is, and what it leaves.
const (
	ProductPath = `C:\media\product.msi`
	ProductCode = "{8E5233E1-7495-44FB-8DEB-4BE906D59619}"
	ProductFile = `C:\Program Files\Deploy test product\readme.txt`
	ProductKey  = `HKLM\SOFTWARE\Deploy test product` // its value Version is 1.2.3
)
