//go:build !linux

package nodelab

// Child does nothing where there are no namespaces.
func Child() {}
