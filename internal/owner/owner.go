// Package owner decides whether a journal may work on a node. It is data and rules; it asks
// nothing.
//
// Each node keeps one record for each site that works there (node.Owner): the journal that is in
// charge, its epoch, the last act that it announced, and who holds it. Before its first act on a
// node a run compares the record with what its journal knows, and then puts its own record there.
//
// # What the number in a record means
//
// Seq is the number of the last journal entry that announced work on this node: the begin of an
// act, the begin of an undo, or the entry that handed a batch of tasks to the agent. The entry is
// on the controller's disk before the record is changed, and the record is changed before the
// machine is. So the record never lacks an act that was done, and three things follow.
//
//   - A number that the journal does not have as such an entry of this node, or a run that it does
//     not have, was written by a later state of this journal: what is here is an older copy.
//   - The journal notes with each outcome the number that the record held then (Known.Recorded). A
//     record that holds a smaller one, or none at all, was put back with its machine. An act that
//     was begun and not heard of has not been noted so, and is no sign of it.
//   - Within a batch the number stays. There the agent's own record, which has every act, tells
//     whether the machine went back (Known.AgentBack).
//
// # Epoch
//
// The epoch is one number for each journal, 1 at first. A take-over raises it above every one that
// was seen on the nodes. It travels with every request that may change the machine, so a controller
// that slept through a take-over changes nothing when it wakes.
package owner

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"deploy/internal/node"
)

// Verdict is what a comparison says.
type Verdict string

// The verdicts. The first three let a run go on; the others refuse it.
const (
	Fits  Verdict = "fits"
	New   Verdict = "new"   // there is no record, and nothing of the journal stands there
	Adopt Verdict = "adopt" // there is no record, and acts from before there were such records stand there

	ForeignSite    Verdict = "foreign-site"    // another site works there
	ForeignJournal Verdict = "foreign-journal" // another journal of this site is in charge
	NewerEpoch     Verdict = "newer-epoch"     // another copy of this journal has taken over
	UnknownAct     Verdict = "unknown-act"     // this journal is an older copy
	AtWork         Verdict = "at-work"         // one of the three before, and it is at work right now
	WentBack       Verdict = "went-back"       // the machine was put back to an older state
	NewerFormat    Verdict = "newer-format"    // the record was written by a later deploy
	Unreadable     Verdict = "unreadable"      // what the record says cannot be told
)

// Allowed says that a run may go on.
func (v Verdict) Allowed() bool { return v == Fits || v == New || v == Adopt }

// Yields says that --take-over goes on nevertheless.
func (v Verdict) Yields() bool {
	return slices.Contains([]Verdict{ForeignSite, ForeignJournal, NewerEpoch, UnknownAct, AtWork, Unreadable}, v)
}

// Text is one record as it stands on a node.
type Text struct{ Site, Record string }

// Known is what the journal knows of one node.
type Known struct {
	Site    string
	Journal string // its id; "" before its first run
	Epoch   int64
	Shared  bool // the site file says that other sites work there too
	// Announced are the entries that announced work on the node, with the run of each.
	Announced map[int64]string
	Runs      map[string]bool // every run of the journal
	Recorded  int64           // highest number that the node's record is known to have held; 0 for none
	Stands    bool            // acts that were not taken back stand on the node
	AgentBack bool            // the agent's own record lacks acts that it had reported
}

// Finding is the outcome of a comparison.
type Finding struct {
	Verdict Verdict
	// Owner is the record that decided; zero where there is none or it cannot be read.
	Owner node.Owner
	// Why says what is wrong with an unreadable record.
	Why string
	// Record is the text of this site's record; "" for none.
	Record string
	// Foreign are the records of other sites that a take-over removes.
	Foreign []Text
	// Beside are those of other sites that share the node.
	Beside []node.Owner
	// Epoch is the highest that this site's record shows.
	Epoch int64
	// Act is the number that went-back misses.
	Act int64
}

// Compare says whether the journal may work on a node where these records stand. now is the
// controller's clock: it decides only whether a holder counts as being at work.
func Compare(k Known, records []Text, now time.Time) Finding {
	var f Finding
	var own *Text
	for i, t := range records {
		if sameSite(t.Site, k.Site) {
			own = &records[i]
			f.Record = t.Record
			continue
		}
		f.beside(k, t)
	}
	if own != nil {
		if o, v, why := read(*own); v == "" {
			f.Epoch = o.Epoch
			if f.Verdict == "" {
				f.Owner = o
				f.Verdict = compareOwn(k, o, now)
			}
		} else if f.Verdict == "" {
			f.Verdict, f.Why = v, why
		}
	} else if f.Verdict == "" {
		f.Verdict = compareNone(k)
	}
	if f.Verdict == WentBack {
		f.Act = k.Recorded
	}
	return f
}

// beside takes in the record of another site. The first that does not fit decides.
func (f *Finding) beside(k Known, t Text) {
	o, v, why := read(t)
	switch {
	case v == NewerFormat:
	case !k.Shared || v == "" && !o.Shared:
		v, why = ForeignSite, ""
		f.Foreign = append(f.Foreign, t)
		if o.Site == "" {
			o.Site = t.Site
		}
	case v == "":
		f.Beside = append(f.Beside, o)
		return
	}
	if f.Verdict == "" {
		f.Verdict, f.Owner, f.Why = v, o, why
	}
}

// compareOwn compares this site's record.
func compareOwn(k Known, o node.Owner, now time.Time) Verdict {
	v := Fits
	run, announced := k.Announced[o.Seq]
	switch {
	case o.Journal != k.Journal:
		v = ForeignJournal
	case o.Epoch > k.Epoch:
		v = NewerEpoch
	case !k.Runs[o.Run], o.Seq > 0 && (!announced || !k.Runs[run]):
		v = UnknownAct
	case o.Seq < k.Recorded, k.AgentBack:
		return WentBack
	}
	if v != Fits && o.Holder.Until.After(now) {
		return AtWork
	}
	return v
}

// compareNone judges a node without a record of this site.
func compareNone(k Known) Verdict {
	switch {
	case k.Stands && (k.Recorded > 0 || k.AgentBack):
		return WentBack
	case k.Stands:
		return Adopt
	}
	return New
}

// read parses a record. verdict is "" where it can be read.
func read(t Text) (o node.Owner, verdict Verdict, why string) {
	var head struct {
		Format int `json:"format"`
	}
	if json.Unmarshal([]byte(t.Record), &head) == nil && head.Format > node.OwnerFormat {
		return node.Owner{Site: t.Site}, NewerFormat, ""
	}
	o, err := node.ParseOwner(t.Record)
	if err != nil {
		return node.Owner{Site: t.Site}, Unreadable, err.Error()
	}
	return o, "", ""
}

// sameSite compares names as the registry does, which keeps the records on Windows.
func sameSite(a, b string) bool { return strings.EqualFold(a, b) }
