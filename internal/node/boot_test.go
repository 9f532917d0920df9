package node

import "testing"

func TestBootIDIsInUTC(t *testing.T) {
	for in, want := range map[string]string{
		"20260701120000.500000+120":      "20260701100000.500000+000",
		"20260101003000.500000+060":      "20251231233000.500000+000",
		"20260701053000.000000-300":      "20260701103000.000000+000",
		"20260701100000.500000+000":      "20260701100000.500000+000",
		"kernel 134000000000000000":      "kernel 134000000000000000",
		"20260701120000.******+***":      "20260701120000.******+***",
		"20261301120000.500000+120":      "20261301120000.500000+120",
		"20260701120000.500000+1 0":      "20260701120000.500000+1 0",
		"20260701120000.500000*120":      "20260701120000.500000*120",
		"6f1a1c9e-0000-4000-8000-1-4711": "6f1a1c9e-0000-4000-8000-1-4711",
		"":                               "",
	} {
		if got := BootID(in); got != want {
			t.Errorf("BootID(%q) is %q, want %q", in, got, want)
		}
	}
}

func TestSameBoot(t *testing.T) {
	for _, c := range []struct {
		why, a, b string
		want      bool
	}{
		{"equal", "1", "1", true},
		{"other text", "1", "2", false},
		{"summer time began", "20260329003000.500000+060", "20260329013000.500000+120", true},
		{"an older journal has local time", "20260701120000.500000+120", "20260701100000.500000+000", true},
		{"local time of another boot", "20260701120000.500000+120", "20260701120000.500000+000", false},
		{"milliseconds between two looks", "20260701100000.500000+000", "20260701100000.516000+000", true},
		{"the clock was corrected", "20260701100000.500000+000", "20260701095957.500000+000", true},
		{"as far apart as it may be", "20260701100000.500000+000", "20260701100010.500000+000", true},
		{"a restart", "20260701100000.500000+000", "20260701100010.500001+000", false},
		{"a moment and another id", "20260701100000.500000+000", "kernel 134000000000000000", false},
		{"Linux: another start of process 1", "6f1a1c9e-1", "6f1a1c9e-2", false},
		{"no restart is owed", "", "20260701100000.500000+000", false},
	} {
		if got := SameBoot(c.a, c.b); got != c.want {
			t.Errorf("%s: SameBoot(%q, %q) is %v", c.why, c.a, c.b, got)
		}
		if got := SameBoot(c.b, c.a); got != c.want {
			t.Errorf("%s, the other way: SameBoot(%q, %q) is %v", c.why, c.b, c.a, got)
		}
	}
}
