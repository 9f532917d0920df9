package owner

import (
	"strings"
	"testing"
	"time"

	"deploy/internal/node"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// record makes the text of a record; change may be nil.
func record(t *testing.T, site string, change func(*node.Owner)) Text {
	t.Helper()
	o := node.Owner{Format: node.OwnerFormat, Site: site, Journal: "j1", Epoch: 2, Seq: 17, Run: "r2",
		Holder: node.Holder{Who: "ann", Host: "desk", Since: noon.Add(-time.Hour)}}
	if change != nil {
		change(&o)
	}
	text, err := o.Text()
	if err != nil {
		t.Fatal(err)
	}
	return Text{site, text}
}

// known is a journal j1 of site s in epoch 2 with two runs: r1 announced 5, r2 announced 17 and 20.
func known() Known {
	return Known{Site: "s", Journal: "j1", Epoch: 2, Announced: map[int64]string{5: "r1", 17: "r2", 20: "r2"},
		Runs: map[string]bool{"r1": true, "r2": true}, Recorded: 17, Stands: true}
}

func TestCompare(t *testing.T) {
	type change = func(*node.Owner)
	working := func(o *node.Owner) { o.Holder.Until = noon.Add(time.Minute) }
	both := func(a, b change) change { return func(o *node.Owner) { a(o); b(o) } }
	journal := func(o *node.Owner) { o.Journal = "j2" }
	epoch := func(o *node.Owner) { o.Epoch = 3 }
	seq := func(n int64, run string) change { return func(o *node.Owner) { o.Seq, o.Run = n, run } }
	shared := func(o *node.Owner) { o.Shared = true }
	for _, c := range []struct {
		name   string
		known  func(*Known)
		own    change // of the site's own record
		none   bool   // the site has no record
		raw    string // instead of it
		beside change // another site has a record
		want   Verdict
	}{
		{name: "as this journal left it", want: Fits},
		{name: "a later act that was announced and not heard of", own: seq(20, "r2"), want: Fits},
		{name: "claimed, and no act yet", known: func(k *Known) { k.Recorded = 0 }, own: seq(0, "r2"), want: Fits},
		{name: "an earlier run that was cut off is no other controller", own: working, want: Fits},
		{name: "not visited since our take-over", own: func(o *node.Owner) { o.Epoch = 1 }, want: Fits},
		{name: "the record's name in other letters", known: func(k *Known) { k.Site = "S" }, want: Fits},

		{name: "nothing was ever done", none: true,
			known: func(k *Known) { k.Stands, k.Recorded = false, 0 }, want: New},
		{name: "all was taken back and the record cleaned away", none: true,
			known: func(k *Known) { k.Stands = false }, want: New},
		{name: "acts of a program that kept no records", none: true,
			known: func(k *Known) { k.Recorded = 0 }, want: Adopt},
		{name: "an act was begun there and not heard of", none: true,
			known: func(k *Known) { k.Recorded = 0 }, want: Adopt},

		{name: "another journal", own: journal, want: ForeignJournal},
		{name: "a journal that has no run yet", known: func(k *Known) { *k = Known{Site: "s", Epoch: 1} },
			want: ForeignJournal},
		{name: "another journal, at work", own: both(journal, working), want: AtWork},
		{name: "another journal, whose time is over",
			own: both(journal, func(o *node.Owner) { o.Holder.Until = noon.Add(-time.Second) }), want: ForeignJournal},
		{name: "a copy took over", own: epoch, want: NewerEpoch},
		{name: "a copy took over and works", own: both(epoch, working), want: AtWork},
		{name: "an act that this copy has not", own: seq(21, "r3"), want: UnknownAct},
		{name: "a number that was no act here", own: seq(18, "r2"), want: UnknownAct},
		{name: "the number is known, and of another run here", own: seq(17, "r3"), want: UnknownAct},
		{name: "another copy works right now", own: both(seq(21, "r3"), working), want: AtWork},

		{name: "put back to an older state", own: seq(5, "r1"), want: WentBack},
		{name: "put back to before the first record", none: true, want: WentBack},
		{name: "put back within a batch", known: func(k *Known) { k.AgentBack = true }, want: WentBack},
		{name: "older than an act that was not heard of", known: func(k *Known) { k.Recorded = 5 }, own: seq(5, "r1"),
			want: Fits},
		{name: "an older journal is told before an older machine", known: func(k *Known) { k.Recorded = 30 },
			own: seq(21, "r3"), want: UnknownAct},

		{name: "a later format", raw: `{"format": 2, "other": true}`, want: NewerFormat},
		{name: "no record at all", raw: "\x00\x01", want: Unreadable},
		{name: "a member that nobody knows", raw: `{"format": 1, "colour": "red"}`, want: Unreadable},

		{name: "another site", none: true, beside: shared, want: ForeignSite},
		{name: "another site beside ours", beside: shared, want: ForeignSite},
		{name: "shared by both", beside: shared, known: func(k *Known) { k.Shared = true }, want: Fits},
		{name: "shared by both, ours is new", none: true, beside: shared,
			known: func(k *Known) { *k = Known{Site: "s", Shared: true, Epoch: 1} }, want: New},
		{name: "shared here, not there", beside: func(*node.Owner) {}, known: func(k *Known) { k.Shared = true },
			want: ForeignSite},
		{name: "shared, and ours does not fit", beside: shared, own: journal,
			known: func(k *Known) { k.Shared = true }, want: ForeignJournal},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := known()
			if c.known != nil {
				c.known(&k)
			}
			var records []Text
			switch {
			case c.raw != "":
				records = append(records, Text{"s", c.raw})
			case !c.none:
				records = append(records, record(t, "s", c.own))
			}
			if c.beside != nil {
				records = append(records, record(t, "other", c.beside))
			}
			f := Compare(k, records, noon)
			if f.Verdict != c.want {
				t.Fatalf("got %s, want %s", f.Verdict, c.want)
			}
			text, hint := f.Say("n1")
			if !f.Verdict.Allowed() && (text == "" || hint == "" || strings.Contains(text, "%!")) {
				t.Errorf("the refusal says %q, %q", text, hint)
			}
		})
	}
}

func TestAnotherSitesRecordThatCannotBeRead(t *testing.T) {
	for _, c := range []struct {
		raw    string
		shared bool
		want   Verdict
	}{
		{"nonsense", false, ForeignSite}, {"nonsense", true, Unreadable},
		{`{"format": 2}`, false, NewerFormat}, {`{"format": 2}`, true, NewerFormat},
	} {
		k := known()
		k.Shared = c.shared
		f := Compare(k, []Text{record(t, "s", nil), {"other", c.raw}}, noon)
		if f.Verdict != c.want || f.Owner.Site != "other" {
			t.Errorf("%q, shared %v: got %s of site %q, want %s", c.raw, c.shared, f.Verdict, f.Owner.Site, c.want)
		}
	}
}

func TestSay(t *testing.T) {
	k := known()
	got, _ := Compare(k, []Text{record(t, "s", func(o *node.Owner) { o.Seq, o.Run = 5, "r1" })}, noon).Say("n1")
	if got != "n1 went back: act 17 is not on it" {
		t.Error(got)
	}
	got, _ = Compare(k, []Text{record(t, "s", func(o *node.Owner) { o.Epoch = 3 })}, noon).Say("n1")
	if got != "another controller has taken n1 over: epoch 3, ann on desk since 2026-01-02T11:00:00Z (run r2)" {
		t.Error(got)
	}
}
