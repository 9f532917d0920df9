package lab

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

// made is a world in which the same things were made in the order of names.
func made(names ...string) *model.World {
	w := &model.World{Site: "s", Machines: map[string]*model.Machine{}, Disks: map[string]*model.SharedDisk{},
		Clusters: map[string]*model.Cluster{}}
	for range len(names) * 3 {
		w.Next() // failed tries before
	}
	m := &model.Machine{Name: "n1", Boots: len(names), Booted: time.Unix(int64(w.Serial), 0), Registry: model.Registry{},
		Files: map[string]*model.File{},
		Jobs:  map[string]*model.Job{names[0]: {ID: names[0]}}}
	w.Machines["n1"] = m
	c := &model.Cluster{Name: "c"}
	w.Clusters["c"] = c
	ids := map[string]string{}
	for _, n := range names {
		id := machine.GUID(w)
		ids[n] = id
		low := strings.ToLower(id)
		m.Registry[`hklm\cluster\resources\`+low] = &model.Key{Path: `HKLM\Cluster\Resources\` + id,
			Values: map[string]*model.Value{"name": {Name: "Name", Type: "string", Data: n}}}
		m.Registry[`hklm\cluster\resources\`+low+`\parameters`] = &model.Key{Path: `HKLM\Cluster\Resources\` + id +
			`\Parameters`}
		w.Disks[n] = &model.SharedDisk{Serial: n, Style: "MBR", Signature: uint32(w.Next() * 2654435761),
			Partitions: []*model.Partition{{VolumeID: `\\?\Volume` + strings.ToLower(machine.GUID(w)) + `\`}}}
		m.Files[`c:\`+n] = &model.File{Path: `C:\` + n, Modified: time.Unix(int64(w.Serial), 0)}
	}
	for _, n := range []string{"a", "b", "c"} {
		c.Resources = append(c.Resources,
			&model.ClusterResource{ID: ids[n], Name: n, Private: map[string]any{"DiskSignature": int64(w.Disks[n].Signature),
				"DiskSize": int64(5)}})
	}
	return w
}

// TestShowIsTheSameForTheSame: what the lab made up (ids, signatures), and what comes with time
// (boots, dates, jobs) does not show.
func TestShowIsTheSameForTheSame(t *testing.T) {
	one, err := show(made("a", "b", "c"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := show(made("c", "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stateOf(t, one), stateOf(t, two)) {
		t.Errorf("\n%s\n%s", stateOf(t, one), stateOf(t, two))
	}
	if bytes.Equal(one, two) {
		t.Error("the volatile part is the same: the worlds were not different")
	}
	// ids still tell things apart: who points to the wrong resource shows
	w := made("a", "b", "c")
	w.Clusters["c"].Resources[0].ID = w.Clusters["c"].Resources[1].ID
	wrong, err := show(w)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(stateOf(t, one), stateOf(t, wrong)) {
		t.Error("a wrong id does not show")
	}
	w = made("a", "b", "c")
	w.Clusters["c"].Resources[0].Private["DiskSignature"] = int64(w.Disks["b"].Signature)
	if wrong, err = show(w); err != nil || bytes.Equal(stateOf(t, one), stateOf(t, wrong)) {
		t.Errorf("a wrong signature does not show: %v", err)
	}
}

func TestShowFromDirectory(t *testing.T) {
	cfg := testConfig(t)
	if _, err := Show(cfg.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the first start: %v", err)
	}
	l := startLab(t, cfg)
	running, err := l.Show()
	if err != nil {
		t.Fatal(err)
	}
	stored, err := Show(cfg.Dir)
	if err != nil || !bytes.Equal(running, stored) {
		t.Errorf("what is stored differs: %v", err)
	}
}
