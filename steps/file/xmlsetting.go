package file

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"deploy/internal/node"
	"deploy/steps"
)

// XMLSetting sets one attribute of one element of an XML file and leaves every other byte as it is.
type XMLSetting struct {
	File      string `json:"file" required:"true" doc:"full path of the file on the node" type:"path" check:"compared"`
	Element   string `json:"element" required:"true" doc:"path of the element, like configuration/appSettings/add[@key='QueueDatabasePath']; a missing last element with a condition is made" check:"compared"`
	Attribute string `json:"attribute" doc:"attribute to set; the default is value" check:"compared"`
	Value     string `json:"value" required:"true" doc:"what it shall be" check:"compared"`
	Until     string `json:"until,omitempty" doc:"tag of the earlier step that makes the file; with it, a file that is not there yet is unknown in a plan" check:"instruction:order"`
}

type xmlBefore struct {
	Element  bool   `json:"element"`  // it was there
	Had      bool   `json:"had"`      // it had the attribute
	Value    string `json:"value"`    // and this was its value
	Original string `json:"original"` // the whole file, base64
}

func xmlKind() steps.Kind {
	return steps.Kind{
		Name:    "xmlsetting",
		Summary: "Sets one attribute of one element in an XML file, like a key of appSettings in a .config file.",
		Doc: "Finds the element by its path and conditions and changes nothing but the attribute's value: encoding, byte " +
			"order mark, comments, " +
			"blanks and line ends stay byte for byte. UTF-8, UTF-16 and ISO-8859-1 files up to 1 MB are understood. " +
			"An element that occurs twice is an error. A service that reads the file must be restarted by a step of its own.",
		Undo: "Writes the original file back when nothing else has changed in it since; otherwise it sets the " +
			"attribute alone back.",
		Proof:     proof,
		Sources:   []string{"EdgeTransport.exe.config, appSettings: QueueDatabasePath, QueueDatabaseLoggingPath"},
		ReadForms: forms(),
		New:       func() steps.Step { return &XMLSetting{Attribute: "value"} },
		Example: "file: C:\\Program Files\\Microsoft\\Exchange Server\\bin\\EdgeTransport.exe.config\n" +
			"element: configuration/appSettings/add[@key='QueueDatabasePath']\nvalue: E:\\Queue\n",
	}
}

// Kind names the step.
func (s *XMLSetting) Kind() string { return "xmlsetting" }

// Validate looks at the data.
func (s *XMLSetting) Validate() error {
	if _, err := parsePath(s.Element); err != nil {
		return steps.FieldErr("element", "%v", err)
	}
	if !writable(s.Value) {
		return steps.FieldErr("value", "holds characters that XML cannot carry")
	}
	return nil
}

func (s *XMLSetting) load(ctx context.Context, r node.Reader) ([]byte, *xmlText, place, error) {
	raw, err := content(ctx, r, s.File)
	if errors.Is(err, node.ErrNotFound) && s.Until != "" {
		return nil, nil, place{}, steps.Until(s.Until, "it makes "+s.File)
	}
	if err != nil {
		return nil, nil, place{}, err
	}
	text, p, err := s.find(raw)
	return raw, text, p, err
}

func (s *XMLSetting) find(raw []byte) (*xmlText, place, error) {
	path, err := parsePath(s.Element)
	if err != nil {
		return nil, place{}, err
	}
	text, err := decodeXML(raw)
	if err != nil {
		return nil, place{}, fmt.Errorf("cannot read %s: %w", s.File, err)
	}
	p, err := text.find(path)
	if err != nil {
		return nil, place{}, fmt.Errorf("cannot find %s in %s: %w", s.Element, s.File, err)
	}
	return text, p, nil
}

// Check compares the attribute.
func (s *XMLSetting) Check(ctx context.Context, r node.Reader) (steps.Diff, error) {
	raw, text, p, err := s.load(ctx, r)
	if err != nil {
		return steps.Diff{}, err
	}
	b := xmlBefore{Element: p.found, Original: base64.StdEncoding.EncodeToString(raw)}
	if p.found {
		b.Value, b.Had = text.attr(p, s.Attribute)
	}
	if b.Had && b.Value == s.Value {
		return steps.NoChange(), nil
	}
	d := steps.Diff{Action: steps.Update, Before: steps.MustJSON(b)}
	c := steps.Change{Attr: s.Element + "/@" + s.Attribute, To: s.Value}
	if b.Had {
		c.From = b.Value
	} else {
		d.Action = steps.Create
	}
	d.Changes = []steps.Change{c}
	return d, nil
}

// edit returns the file with the attribute set.
func (s *XMLSetting) edit(raw []byte, value string) ([]byte, error) {
	text, p, err := s.find(raw)
	if err != nil {
		return nil, err
	}
	path, err := parsePath(s.Element)
	if err != nil {
		return nil, err
	}
	if !p.found {
		text.insert(p, path[len(path)-1], s.Attribute, value)
	} else {
		text.setAttr(p, s.Attribute, value)
	}
	return text.encode()
}

// Apply writes the file with the one change.
func (s *XMLSetting) Apply(ctx context.Context, n node.Node, _ steps.Diff) (steps.Outcome, error) {
	raw, err := content(ctx, n, s.File)
	if err != nil {
		return steps.Outcome{}, err
	}
	out, err := s.edit(raw, s.Value)
	if err != nil {
		return steps.Outcome{}, err
	}
	return steps.Outcome{}, write(ctx, n, s.File, out)
}

// Undo restores the file, or the attribute when the file was changed by others since.
func (s *XMLSetting) Undo(ctx context.Context, n node.Node, before json.RawMessage) error {
	var b xmlBefore
	if err := json.Unmarshal(before, &b); err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	original, err := base64.StdEncoding.DecodeString(b.Original)
	if err != nil {
		return fmt.Errorf("cannot read the recorded state: %w", err)
	}
	now, err := content(ctx, n, s.File)
	if errors.Is(err, node.ErrNotFound) {
		return nil // what came with a product has gone with it
	}
	if err != nil {
		return err
	}
	ours, err := s.edit(original, s.Value)
	if err == nil && string(ours) == string(now) {
		return write(ctx, n, s.File, original)
	}
	text, p, err := s.find(now)
	if err != nil || !p.found {
		return err
	}
	switch {
	case b.Had:
		text.setAttr(p, s.Attribute, b.Value)
	case b.Element:
		text.cutAttr(p, s.Attribute)
	default:
		text.cutElement(p)
	}
	out, err := text.encode()
	if err != nil {
		return err
	}
	if string(out) == string(now) {
		return nil
	}
	return write(ctx, n, s.File, out)
}
