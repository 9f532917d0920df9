package assert

import (
	"testing"

	"deploy/internal/testkit/conformance"
)

func TestDocumented(t *testing.T) { conformance.Documented(t, Kinds()) }
