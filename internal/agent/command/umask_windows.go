package command

// usualUmask: Windows has none.
func usualUmask() {}
