//go:build unix

package command

import "golang.org/x/sys/unix"

// usualUmask sets the umask of a system's own programs, which what the worker starts inherits: the
// one of a login (umask 077 in root's .bashrc, a sudoers rule) would reach every new directory.
func usualUmask() { unix.Umask(0o022) }
