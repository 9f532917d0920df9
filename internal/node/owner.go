package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// OwnerFormat is the format of the owner records that this program writes. A record of a later
// format is an error for ParseOwner, never a guess.
const OwnerFormat = 1

// Owner is what a node keeps of one site that works on it: which journal is in charge, and how far
// it had come. On Linux it is the file owner/SITE.json beside the directory of jobs
// (/var/lib/deploy for root), on Windows the value SITE of HKLM\SOFTWARE\deploy\Owner.
type Owner struct {
	Format  int    `json:"format"` // OwnerFormat
	Site    string `json:"site"`
	Journal string `json:"journal"` // id of the site's journal
	Epoch   int64  `json:"epoch"`   // of that journal; 1 at first, raised by every take-over
	Seq     int64  `json:"seq"`     // number of the journal's entry that began the last act here; 0 before the first
	Run     string `json:"run"`     // the run that wrote this
	Holder  Holder `json:"holder"`
	Shared  bool   `json:"shared,omitempty"` // the site says that other sites work here too
	Busy    *Busy  `json:"busy,omitempty"`   // on a shared node: an act is under way, and other sites wait
}

// Holder says who works, for people.
type Holder struct {
	Who   string    `json:"who"`
	Host  string    `json:"host"`
	Since time.Time `json:"since"`
	// Until is when the holder counts as gone if nothing more is heard of it; zero once its run has
	// ended.
	Until time.Time `json:"until,omitzero"`
}

// Busy says what is under way on a shared node.
type Busy struct {
	What    string    `json:"what"` // the task, without values
	Since   time.Time `json:"since"`
	Expires time.Time `json:"expires"` // a controller that was killed does not stop the others for ever
}

// maxOwner bounds a record's text, in bytes: it travels with every writing request.
const maxOwner = 4 << 10

var (
	ownerSite = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	ownerWord = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)
)

// IsSite says that name can be a site's.
func IsSite(name string) bool { return ownerSite.MatchString(name) }

// Text is the record as it stands on a node: JSON with each member of the outermost object on a
// line of its own, indented by two spaces. The scripts on the node, which have no JSON, read the
// members journal, epoch and run by their lines.
func (o Owner) Text() (string, error) {
	switch {
	case o.Format != OwnerFormat:
		return "", fmt.Errorf("cannot write an owner record of format %d", o.Format)
	case !ownerSite.MatchString(o.Site):
		return "", fmt.Errorf("cannot write an owner record of a site %q", o.Site)
	case !ownerWord.MatchString(o.Journal), !ownerWord.MatchString(o.Run):
		return "", fmt.Errorf("cannot write an owner record of journal %q and run %q", o.Journal, o.Run)
	case strings.ContainsFunc(o.words(), func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", fmt.Errorf("cannot write an owner record of %q", o.words())
	case o.Epoch < 1 || o.Seq < 0:
		return "", fmt.Errorf("cannot write an owner record of epoch %d and entry %d", o.Epoch, o.Seq)
	}
	text, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return "", fmt.Errorf("cannot write an owner record: %w", err)
	}
	if len(text) > maxOwner {
		return "", fmt.Errorf("cannot write an owner record of %d bytes", len(text))
	}
	return string(text), nil
}

// words are the parts that people read.
func (o Owner) words() string {
	s := o.Holder.Who + o.Holder.Host
	if o.Busy != nil {
		s += o.Busy.What
	}
	return s
}

// ParseOwner reads what a node keeps. Unknown members, a later format and a record without a
// journal are errors: what cannot be read names nobody.
func ParseOwner(text string) (Owner, error) {
	var o Owner
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal([]byte(text), &head); err != nil {
		return o, fmt.Errorf("cannot read the owner record: %w", err)
	}
	if head.Format != OwnerFormat {
		return o, fmt.Errorf("cannot read the owner record: its format is %d, this program knows %d", head.Format,
			OwnerFormat)
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		return o, fmt.Errorf("cannot read the owner record: %w", err)
	}
	if _, err := o.Text(); err != nil {
		return o, fmt.Errorf("cannot read the owner record: %w", err)
	}
	return o, nil
}

// Owners reads all owner records of the node. Rows: site, record (the text, see ParseOwner). No
// rows say that no site has worked there.
type Owners struct{}

// OwnerSet puts an owner record in the place of the one that was read: Was is its text, "" when
// there was none. Record "" removes it. When something else stands there by now the answer is a
// SupersededError, and nothing was changed.
type OwnerSet struct{ Site, Was, Record string }

// Request makes the wire form.
func (q Owners) Request() Request { return Request{"owner.get", map[string]any{}} }

// Request makes the wire form.
func (a OwnerSet) Request() Request {
	return Request{"owner.set", map[string]any{"site": a.Site, "was": a.Was, "record": a.Record}}
}

func (Owners) query()    {}
func (OwnerSet) action() {}

// Fence is what a session proves with every request that may change the machine, once it is set:
// the node compares it with its owner record before the act, so that a controller which slept
// through a take-over changes nothing more. The act is refused with a SupersededError when the
// record is gone or cannot be read, is another journal's, has a higher epoch, or (where Run is
// given) has the same epoch and is another run's.
type Fence struct {
	Site    string
	Journal string
	Epoch   int64
	Run     string // "" is not compared: an agent works on for a run that ended
	// Record is to stand on the node when the act begins, and is put there by the same request: so the
	// number of the last act costs no request of its own. "" leaves what stands there.
	Record string
}

// FenceArg is the argument of a request that carries its fence.
const FenceArg = "fence"

// Arg is the fence as the value of FenceArg.
func (f Fence) Arg() map[string]any {
	return map[string]any{"site": f.Site, "journal": f.Journal, "epoch": f.Epoch, "run": f.Run, "record": f.Record}
}

// FenceOf takes the fence out of a request's arguments; ok is false where there is none.
func FenceOf(args map[string]any) (f Fence, ok bool) {
	m, ok := args[FenceArg].(map[string]any)
	if !ok {
		return Fence{}, false
	}
	r := Row(m)
	return Fence{Site: r.String("site"), Journal: r.String("journal"), Epoch: r.Int("epoch"), Run: r.String("run"),
		Record: r.String("record")}, true
}

// Passes says that an act under this fence may begin where text is the owner record that stands; ""
// is none. It is the rule that the scripts on the nodes follow as well.
func (f Fence) Passes(text string) bool {
	o, err := ParseOwner(text)
	return err == nil && o.Journal == f.Journal && o.Epoch <= f.Epoch &&
		(f.Run == "" || o.Epoch < f.Epoch || o.Run == f.Run)
}

// Fenced is a session that can prove with each of its writing requests that it is still in charge.
type Fenced interface {
	// SetFence has all writing requests from now on carry f. The zero Fence ends that.
	SetFence(f Fence)
}

// ErrSuperseded: another controller is in charge of the node by now. Nothing was changed.
var ErrSuperseded = errors.New("superseded by another controller")

// SupersededID is the id of a CodeError whose Text is the owner record that stands on the node.
const SupersededID = "deploy.Superseded"

// SupersededError says who is in charge of a node instead.
type SupersededError struct {
	Node   string
	Record string // what stands there; "" is nothing
}

func (e *SupersededError) Error() string {
	o, err := ParseOwner(e.Record)
	switch {
	case strings.TrimSpace(e.Record) == "":
		return fmt.Sprintf("refused on %s: its owner record is gone", e.Node)
	case err != nil:
		return fmt.Sprintf("refused on %s: %v", e.Node, err)
	}
	return fmt.Sprintf("refused on %s: %s on %s is in charge there since %s (site %s, journal %s, epoch %d, run %s)",
		e.Node, o.Holder.Who, o.Holder.Host, o.Holder.Since.UTC().Format(time.RFC3339), o.Site, o.Journal, o.Epoch, o.Run)
}

// Unwrap gives ErrSuperseded and the CodeError as which a node says it.
func (e *SupersededError) Unwrap() []error {
	return []error{ErrSuperseded, &CodeError{Op: "compare the owner record", ID: SupersededID, Text: e.Record}}
}
