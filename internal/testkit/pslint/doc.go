// Package pslint reads PowerShell scripts with a grammar that is not ours and holds them to what
// the oldest machines understand: Windows PowerShell 2.0 on .NET 2.0, and to what a script may do
// whose standard streams carry frames.
//
// The grammar is tree-sitter's, in WebAssembly, run by Node. It is for tests only: the program
// never parses a script.
package pslint
