package feature

import (
	"testing"

	"deploy/internal/conformance"
)

func TestDocumented(t *testing.T) { conformance.Documented(t, Kinds()) }
