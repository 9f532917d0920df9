package node

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func sample() Owner {
	return Owner{Format: 1, Site: "blue", Journal: "j-1", Epoch: 3, Seq: 17, Run: "r1",
		Holder: Holder{Who: "ann", Host: "desk", Since: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)}}
}

func TestOwnerText(t *testing.T) {
	text, err := sample().Text()
	if err != nil {
		t.Fatal(err)
	}
	// the scripts on the nodes find their members by these lines
	for _, line := range []string{`  "format": 1,`, `  "journal": "j-1",`, `  "epoch": 3,`, `  "run": "r1",`} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	if o, err := ParseOwner(text); err != nil || o != sample() {
		t.Errorf("%+v, %v", o, err)
	}
	for what, change := range map[string]func(o *Owner){
		"format": func(o *Owner) { o.Format = 2 }, "no site": func(o *Owner) { o.Site = "" },
		"a path for a site":  func(o *Owner) { o.Site = "../x" },
		"no journal":         func(o *Owner) { o.Journal = "" },
		"a quoted journal":   func(o *Owner) { o.Journal = `a"b` },
		"a journal of lines": func(o *Owner) { o.Journal = "a\nb" },
		"no run":             func(o *Owner) { o.Run = "" },
		"no epoch":           func(o *Owner) { o.Epoch = 0 },
		"an act before any":  func(o *Owner) { o.Seq = -1 },
		"a control sequence": func(o *Owner) { o.Holder.Who = "\x1b[2J" },
		"longer than it may": func(o *Owner) { o.Holder.Who = strings.Repeat("x", 5000) },
	} {
		o := sample()
		change(&o)
		if text, err := o.Text(); err == nil {
			t.Errorf("%s: %s", what, text)
		}
	}
}

func TestParseOwnerRefuses(t *testing.T) {
	text, _ := sample().Text()
	for _, bad := range []string{"", "x", "{}", "[]", strings.Replace(text, `"format": 1`, `"format": 2`, 1),
		strings.Replace(text, `"seq"`, `"next"`, 1), strings.Replace(text, `"epoch": 3`, `"epoch": -3`, 1),
		strings.Replace(text, `"epoch": 3`, `"epoch": "3"`, 1), text[:len(text)-1]} {
		if o, err := ParseOwner(bad); err == nil {
			t.Errorf("%q is %+v", bad, o)
		}
	}
}

func TestFencePasses(t *testing.T) {
	ours := Fence{Site: "blue", Journal: "j-1", Epoch: 3, Run: "r1"}
	for _, c := range []struct {
		why    string
		change func(o *Owner)
		fence  func(f *Fence)
		want   bool
	}{
		{"ours", func(*Owner) {}, func(*Fence) {}, true},
		{"an earlier epoch", func(o *Owner) { o.Epoch, o.Run = 2, "r0" }, func(*Fence) {}, true},
		{"a later epoch", func(o *Owner) { o.Epoch, o.Run = 4, "r1" }, func(*Fence) {}, false},
		{"another run", func(o *Owner) { o.Run = "r2" }, func(*Fence) {}, false},
		{"any run", func(o *Owner) { o.Run = "r2" }, func(f *Fence) { f.Run = "" }, true},
		{"any run, later", func(o *Owner) { o.Epoch = 4 }, func(f *Fence) { f.Run = "" }, false},
		{"another journal", func(o *Owner) { o.Journal = "j-2" }, func(*Fence) {}, false},
		{"another journal, earlier", func(o *Owner) { o.Journal, o.Epoch = "j-2", 1 }, func(*Fence) {}, false},
	} {
		o, f := sample(), ours
		c.change(&o)
		c.fence(&f)
		text, err := o.Text()
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Passes(text); got != c.want {
			t.Errorf("%s: %v", c.why, got)
		}
	}
	for _, text := range []string{"", "{", "{}"} {
		if ours.Passes(text) {
			t.Errorf("passes %q", text)
		}
	}
}

func TestFenceTravels(t *testing.T) {
	f := Fence{Site: "blue", Journal: "j-1", Epoch: 3, Run: "r1", Record: "text"}
	if got, ok := FenceOf(map[string]any{"path": "x", FenceArg: f.Arg()}); !ok || got != f {
		t.Errorf("%+v %v", got, ok)
	}
	if _, ok := FenceOf(map[string]any{"path": "x"}); ok {
		t.Error("a fence where there is none")
	}
}

func TestSupersededErrorNamesTheHolder(t *testing.T) {
	text, _ := sample().Text()
	err := error(&SupersededError{Node: "n1", Record: text})
	for _, want := range []string{"n1", "ann", "desk", "2026-07-01T12:00:00Z", "blue", "j-1", "epoch 3", "r1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %q", want, err)
		}
	}
	var code *CodeError
	if !errors.Is(err, ErrSuperseded) || !errors.As(err, &code) || code.ID != SupersededID || code.Text != text {
		t.Errorf("%v", err)
	}
	for record, want := range map[string]string{"": "is gone", "{": "cannot read the owner record"} {
		if got := (&SupersededError{Node: "n1", Record: record}).Error(); !strings.Contains(got, want) {
			t.Errorf("%q: %s", record, got)
		}
	}
}
