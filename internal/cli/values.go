package cli

import (
	"errors"
	"strconv"
	"time"
)

// positive is a time of a flag: more than nothing when given, and 0 when it was not.
type positive time.Duration

// Set implements pflag.Value.
func (p *positive) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return errors.New("write a duration such as 90s, 10m or 1h30m")
	}
	if d <= 0 {
		return errors.New("the time must be more than 0")
	}
	*p = positive(d)
	return nil
}

// String implements pflag.Value; "" keeps a default of 0 out of the help.
func (p *positive) String() string {
	if *p == 0 {
		return ""
	}
	return time.Duration(*p).String()
}

// Type implements pflag.Value.
func (p *positive) Type() string { return "duration" }

// atLeastOne is a number of a flag that is 1 or more.
type atLeastOne int

// Set implements pflag.Value.
func (n *atLeastOne) Set(s string) error {
	v, err := strconv.Atoi(s)
	if err != nil || v < 1 {
		return errors.New("the number must be 1 or more")
	}
	*n = atLeastOne(v)
	return nil
}

// String implements pflag.Value.
func (n *atLeastOne) String() string { return strconv.Itoa(int(*n)) }

// Type implements pflag.Value.
func (n *atLeastOne) Type() string { return "int" }
