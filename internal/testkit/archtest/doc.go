// Package archtest keeps the shape of the project: which package may know which, and a few habits
// that a compiler does not check. It has no code of its own, only tests.
package archtest
