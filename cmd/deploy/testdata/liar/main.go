// Command liar stands in the place of an agent's program on a node that an attacker owns: it claims
// to be that program, does nothing, and tells the controller of tasks as its file of lies says. For
// tests.
package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"deploy/internal/agent/wire"
	"deploy/internal/node"
	"deploy/steps"
)

func main() {
	if err := lie(); err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}

// lies is what it tells, with the digest that it claims to have.
type lies struct {
	Digest string
	Events []wire.Event
}

func lie() error {
	var l lies
	data, err := os.ReadFile("/root/lies.json")
	if err == nil {
		err = json.Unmarshal(data, &l)
	}
	if err != nil {
		return err
	}
	c := wire.NewConn(os.Stdin, os.Stdout)
	if err := c.Greet(); err != nil {
		return err
	}
	if _, err := c.Meet(); err != nil {
		return err
	}
	for {
		f, err := c.Read()
		if err != nil {
			return err
		}
		if err := answer(c, f, l); err != nil {
			return err
		}
	}
}

// owners are the machine's owner records as they stand: with others the controller would refuse the
// node before it hears a lie.
func owners() []wire.OwnerText {
	names, _ := filepath.Glob("/var/lib/deploy/owner/*.json")
	var out []wire.OwnerText
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil {
			out = append(out, wire.OwnerText{Site: strings.TrimSuffix(filepath.Base(name), ".json"), Record: string(text)})
		}
	}
	return out
}

func answer(c *wire.Conn, f wire.Frame, l lies) error {
	var head struct {
		ID    uint64          `json:"id"`
		Books wire.Position   `json:"books"`
		Steps json.RawMessage `json:"steps"`
	}
	_ = json.Unmarshal(f.Body, &head)
	switch f.Type {
	case wire.THello:
		return c.Write(wire.TWelcome, wire.Welcome{Version: "x", Digest: l.Digest, Owners: owners(),
			Facts: node.Facts{OS: "linux", Release: node.Linux, Distro: "debian", Arch: "amd64", Computer: "web1",
				BootID: "b", Privileged: true}})
	case wire.TOwner:
		return c.Write(wire.TOwned, wire.Owned{ID: head.ID, Records: owners()})
	case wire.TPing:
		return c.Write(wire.TPong, struct{}{})
	case wire.TSync:
		for i, e := range l.Events {
			if e.Seq == 0 {
				e.Epoch, e.Seq = head.Books.Epoch, head.Books.Seq+int64(i)+1
			}
			e.Time = time.Now()
			if err := c.Write(wire.TEvent, e); err != nil {
				return err
			}
		}
		return c.Write(wire.TEnded, wire.Ended{ID: head.ID})
	case wire.TCheck:
		var q wire.Check
		if err := f.Decode(&q); err != nil {
			return err
		}
		a := make([]wire.Answer, len(q.Steps))
		for i := range a {
			a[i].Diff = steps.NoChange()
		}
		return c.Write(wire.TChecked, wire.Checked{ID: q.ID, Answers: a})
	case wire.TBye:
		os.Exit(0)
	default:
		return c.Write(wire.TEnded, wire.Ended{ID: head.ID})
	}
	return nil
}
