//go:build !linux

package linuxnodes

// Child does nothing where there are no namespaces.
func Child() {}
