package main

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What Go's own tool reads of this program is what we find in it.
func TestBuildID(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "tool", "buildid", own).Output()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(own)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 64<<10)
	if _, err := io.ReadFull(f, head); err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSpace(string(out))
	if got := buildID(head); got != want || want == "" {
		t.Errorf("the build ID is %q, go tool buildid says %q", got, want)
	}
	digest, err := executableDigest()
	if err != nil {
		t.Fatal(err)
	}
	if v := version(); want != "" && strings.HasSuffix(v, "+"+digest[:12]) {
		t.Errorf("the version %s was made of the whole program", v)
	}
}

func TestBuildIDOfBrokenPrograms(t *testing.T) {
	const note = "\x04\x00\x00\x00Go\x00\x00"
	for text, want := range map[string]string{
		"": "", "MZ": "", "\x7fELF": "",
		"MZ..\xff Go build ID: \"a/b\"\n \xff..":                     "a/b",
		"MZ..\xff Go build ID: \"a/b":                                "",
		"\x7fELF" + note:                                             "",
		"\x7fELF\x04\x00\x00\x00\x03\x00\x00\x00" + note + "a/b\x00": "a/b",
		"\x7fELF\x04\x00\x00\x00\x09\x00\x00\x00" + note + "a/b\x00": "",
		"\x7fELF\x04\x00\x00\x00\xff\xff\xff\xff" + note + "a/b\x00": "",
	} {
		if got := buildID([]byte(text)); got != want {
			t.Errorf("%q has the ID %q, want %q", text, got, want)
		}
	}
}
