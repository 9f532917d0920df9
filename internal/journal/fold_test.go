package journal

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// entries reads lines like "begin:a=1 done:a undo-begin:a#1": kind, task, the step's data, the
// act's number.
func entries(t *testing.T, script string) []Entry {
	t.Helper()
	var out []Entry
	for i, w := range strings.Fields(script) {
		kind, rest, _ := strings.Cut(w, ":")
		e := Entry{Seq: int64(i + 1), Run: "r", Kind: Kind(kind)}
		rest, act, _ := strings.Cut(rest, "#")
		task, data, _ := strings.Cut(rest, "=")
		switch {
		case kind == "run-start":
			e.Run, e.Data = task, json.RawMessage(`{"command":"apply"}`)
		case kind == "run-end":
			e.Run, e.Data = task, json.RawMessage(`{"how":"done"}`)
		case kind == "checkpoint" || kind == "phase":
			e.Phase = task
		default:
			e.Phase, e.Task, e.Node = "p", task, "n1"
			switch {
			case act != "":
				e.Data = json.RawMessage(`{"act":` + act + `}`)
			case kind == "begin":
				e.Data = json.RawMessage(fmt.Sprintf(`{"kind":"k","step":{"v":%q},"diff":{"before":%d}}`, data, i+1))
			case kind == "reboot":
				e.Data = json.RawMessage(`{"boot_id":"b1"}`)
			case kind == "failed" || kind == "undo-failed":
				e.Data = json.RawMessage(`{"error":"no","hint":"do"}`)
			case kind == "signed":
				e.Data = json.RawMessage(`{"by":"bob"}`)
			}
		}
		out = append(out, e)
	}
	return out
}

// TestFold holds short journals against the last word, the standing acts (number, done, being
// undone, and the Before that counts) and the checkpoint.
func TestFold(t *testing.T) {
	for script, want := range map[string]string{
		"no-op:a":                                  "no-op [] -",
		"begin:a=1":                                "begun [1 before 1] -",
		"begin:a=1 lost:a":                         "lost [1 before 1] -",
		"begin:a=1 failed:a":                       "failed [1 before 1] -",
		"failed:a":                                 "failed [] -",
		"begin:a=1 done:a":                         "done [1 done before 1] -",
		"begin:a=1 done:a checkpoint:p":            "done [1 done before 1] reached",
		"begin:a=1 reboot:a":                       "rebooting [1 before 1] b1 -",
		"begin:a=1 reboot:a failed:a":              "failed [1 before 1] b1 -",
		"begin:a=1 reboot:a rebooted:a":            "begun [1 before 1] -",
		"begin:a=1 done:a undo-begin:a#1 reboot:a": "rebooting [1 undoing before 1] b1 -",
		"begin:a=1 done:a undo-begin:a#1 reboot:a rebooted:a": "undoing [1 undoing before 1] -",
		"gate:a":                 "waiting [] -",
		"gate:a signed:a":        "signed [] -",
		"gate:a signed:a gate:a": "waiting [] -",
		"gate:a signed:a done:a": "done [] -",
		// the first Before counts
		"begin:a=1 begin:a=1 done:a":   "done [1 done before 1] -",
		"begin:a=1 failed:a begin:a=1": "begun [1 before 1] -",
		// another wish
		"begin:a=1 failed:a begin:a=2":                                     "begun [1 before 1, 3 before 3] -",
		"begin:a=1 done:a begin:a=1":                                       "begun [1 done before 1, 3 before 3] -",
		"begin:a=1 done:a undo-begin:a#1":                                  "undoing [1 undoing before 1] -",
		"begin:a=1 undo-begin:a#1 lost:a":                                  "undoing [1 undoing before 1] -",
		"begin:a=1 done:a undo-begin:a#1 undone:a#1":                       "undone [] -",
		"begin:a=1 done:a undone:a#1":                                      "undone [] -",
		"begin:a=1 done:a undo-begin:a#1 undo-failed:a":                    "undo-failed [1 undoing before 1] -",
		"begin:a=1 done:a undo-begin:a#1 begin:a=1 done:a":                 "done [1 done before 1] -",
		"begin:a=1 done:a undo-begin:a#1 done:a":                           "done [1 done before 1] -",
		"begin:a=1 done:a begin:a=2 done:a undo-begin:a#3 undone:a#3":      "undone [1 done before 1] -",
		"begin:a=1 failed:a begin:a=2 done:a undo-begin:a#3 undone:a#3":    "undone [1 done before 1] -",
		"begin:a=1 done:a checkpoint:p begin:b=1":                          "done [1 done before 1] -",
		"begin:a=1 done:a checkpoint:p undone:a#1":                         "undone [] -",
		"begin:a=1 done:a checkpoint:p undone:a#1 begin:a=1 done:a":        "done [5 done before 5] -",
		"begin:a=1 done:a checkpoint:p run-start:x run-end:x checkpoint:p": "done [1 done before 1] reached",
	} {
		st, err := Fold(entries(t, script))
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		a := st.Task("a")
		var acts []string
		for _, x := range a.Acts {
			s := fmt.Sprint(x.Seq)
			if x.Done {
				s += " done"
			}
			if x.Undo {
				s += " undoing"
			}
			var d struct{ Before int }
			_ = json.Unmarshal(x.Intent.Diff, &d)
			acts = append(acts, fmt.Sprintf("%s before %d", s, d.Before))
		}
		got := fmt.Sprintf("%s [%s]", a.Status, strings.Join(acts, ", "))
		if a.BootID != "" {
			got += " " + a.BootID
		}
		if st.Phases["p"].Reached {
			got += " reached"
		} else {
			got += " -"
		}
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", script, got, want)
		}
	}
}

func TestFoldRuns(t *testing.T) {
	st, err := Fold(entries(t, "run-start:x run-end:x run-start:y begin:a=1"))
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Runs) != 2 || st.Runs[0].Result.How != "done" || st.LastRun().ID != "y" || !st.LastRun().Ended.IsZero() ||
		st.Seq != 4 {
		t.Errorf("%+v", st)
	}
	if w := st.Task("z").Status; w != StatusNotStarted {
		t.Errorf("an unknown task is %s", w)
	}
}

func TestFoldRefuses(t *testing.T) {
	for script, want := range map[string]string{
		"run-end:x":      `cannot read journal entry 1 (run-end): no run "x" was started`,
		"odd:a":          "cannot read journal entry 1 (odd): unknown kind",
		"undo-begin:a#7": "cannot read journal entry 1 (undo-begin): no act 7 to undo",
	} {
		if _, err := Fold(entries(t, script)); err == nil || err.Error() != want {
			t.Errorf("%s: %v", script, err)
		}
	}
	if _, err := Fold([]Entry{{Seq: 1, Kind: Begin, Task: "a", Phase: "p", Data: json.RawMessage(`[]`)}}); err == nil {
		t.Error("data of another shape was taken")
	}
}

// TestFoldEpoch: a take-over raises the epoch, and none lowers it.
func TestFoldEpoch(t *testing.T) {
	takeOver := func(seq, epoch int64) Entry {
		return Entry{Seq: seq, Run: "r", Kind: TookOver,
			Data: json.RawMessage(fmt.Sprintf(`{"epoch":%d,"nodes":["n1"],"from":"bob"}`, epoch))}
	}
	for _, c := range []struct {
		epochs []int64
		want   int64
		err    string
	}{
		{nil, 1, ""},
		{[]int64{2}, 2, ""},
		{[]int64{2, 7}, 7, ""},
		{[]int64{1}, 0, "cannot read journal entry 1 (take-over): epoch 1 follows 1"},
		{[]int64{3, 2}, 0, "cannot read journal entry 2 (take-over): epoch 2 follows 3"},
	} {
		var list []Entry
		for i, e := range c.epochs {
			list = append(list, takeOver(int64(i)+1, e))
		}
		st, err := Fold(list)
		switch {
		case c.err != "":
			if err == nil || err.Error() != c.err {
				t.Errorf("%v: %v", c.epochs, err)
			}
		case err != nil || st.Epoch != c.want:
			t.Errorf("%v: epoch %d, %v", c.epochs, st.Epoch, err)
		}
	}
}
