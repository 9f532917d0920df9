package powershell

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"deploy/internal/node"
	"deploy/internal/secret"
	"deploy/internal/session"
	"deploy/internal/session/powershell/protocol"
)

// requests are all that a step can ask for as data: kinds have no other way to a machine. Empty
// values; the test fills them.
func requests() []any {
	return []any{
		node.Registry{}, node.RegistryKeys{}, node.WMI{}, node.Cmdlet{}, node.Tool{}, node.Dir{}, node.ACL{}, node.FileHash{},
		node.Directory{},
		node.RegistrySet{}, node.RegistryDelete{}, node.RegistryDeleteKey{}, node.WMICall{}, node.WMISet{}, node.CmdletCall{},
		node.MakeDir{}, node.Remove{},
		node.Adopt{}, node.ACLSet{}, node.SetMode{}, node.DirectoryAdd{}, node.DirectoryModify{}, node.DirectoryDelete{},
		node.Restart{}, node.JobRemove{},
	}
}

func TestEveryRequestIsTried(t *testing.T) {
	source, err := os.ReadFile("../../node/request.go")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, r := range requests() {
		known[reflect.TypeOf(r).Name()] = true
	}
	found := regexp.MustCompile(`(?m)^func \((?:\w+ )?(\w+)\) (?:query|action)\(\)`).FindAllStringSubmatch(string(source),
		-1)
	if len(found) < 20 {
		t.Fatalf("only %d requests found", len(found))
	}
	for _, m := range found {
		if !known[m[1]] {
			t.Errorf("%s is not in the list", m[1])
		}
	}
}

// fill puts a value into every field of a request.
func fill(r any, value string) any {
	v := reflect.New(reflect.TypeOf(r)).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		switch f.Kind() {
		case reflect.String:
			f.SetString(value)
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{value, value}))
		case reflect.Map:
			f.Set(reflect.ValueOf(map[string]any{value: value, "list": []any{value}}))
		case reflect.Interface:
			f.Set(reflect.ValueOf(value))
		case reflect.Bool:
			f.SetBool(true)
		}
	}
	switch q := v.Interface().(type) {
	case node.Cmdlet:
		q.Name, q.As = "Get-"+value, "admin" // a query's name must be a reading one
		return q
	case node.CmdletCall:
		q.As = "admin"
		return q
	case node.Tool:
		q.Argv = []string{"tool.exe", value} // the quoting refuses a program's name that cannot be one
		return q
	}
	return v.Interface()
}

// TestHostileRequests: whatever a site file holds, what goes to the machine's stdin has it in
// base64 and in no other form, and the machine gets it as it was.
func TestHostileRequests(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=;:-"
	for name, value := range map[string]string{
		"quotes": `a'b"c '' ""`, "subexpression": `$(calc) ${x} $env:X`, "backtick": "`n``", "lines": "a\r\nb\nc",
		"NUL": "a\x00b$(x)", "languages": "日本語 Привет \U0001f4a9 \u2018\u2019",
		"lone surrogate": "\xed\xa0\x80'", "frame": "x\nn 1 Q o0:\n", "64 KB": strings.Repeat("'$(x)`\"\n", 8<<10),
		"1 MB": strings.Repeat("'$(x)`\"\n", 1<<17),
	} {
		if testing.Short() && len(value) > 1<<19 {
			continue // the race detector has the same to see in the smaller ones
		}
		t.Run(name, func(t *testing.T) {
			var got []map[string]any
			m := newMachine(func(_ string, args map[string]any) ([]any, map[string]any) {
				got = append(got, args)
				return []any{row("code", int64(0), "phase", "done")}, nil
			})
			s := open(t, m, Options{Options: session.Options{Credentials: map[string]node.Credential{"admin": {User: value, Password: secret.New(value)}, value: {User: value, Password: secret.New(value)}}}})
			m.mu.Lock()
			m.raw = nil
			m.mu.Unlock()
			asked := 0
			sayable := !strings.Contains(value, "\x00") && len(value) < 10_000
			list := requests()
			if len(value) > 1<<19 {
				list = []any{node.RegistrySet{}, node.Directory{}} // a megabyte is the same in all of them, and takes its time
			}
			for _, r := range list {
				var err error
				switch q := fill(r, value).(type) {
				case node.Query:
					_, err = s.Query(t.Context(), q)
				case node.Action:
					_, err = s.Do(t.Context(), q)
				default:
					t.Fatalf("%T is neither a query nor an action", q)
				}
				if err != nil {
					// a command line cannot hold a NUL, and is no longer than 32 K: that is refused here, before
					// anything is sent
					if _, tool := r.(node.Tool); tool && !sayable {
						continue
					}
					t.Errorf("%T: %.200q", r, fmt.Sprint(err))
				}
				asked++
			}
			if err := s.Write(t.Context(), value, strings.NewReader(value), node.WriteOptions{}); err != nil {
				t.Errorf("write: %.200q", fmt.Sprint(err))
			}
			_, _ = s.Stat(t.Context(), value)
			if sayable {
				if err := s.StartJob(t.Context(), value,
					node.Cmd{Argv: []string{"tool.exe", value}, Dir: value, As: value}); err != nil {
					t.Errorf("job: %.200q", fmt.Sprint(err))
				}
				if _, err := s.Run(t.Context(),
					node.Cmd{Argv: []string{"tool.exe", value}, Dir: value, Stdin: []byte(value)}); err != nil {
					t.Errorf("run: %.200q", fmt.Sprint(err))
				}
			}
			m.mu.Lock()
			raw := bytes.Clone(m.raw)
			m.mu.Unlock()
			if asked < len(list)-1 || len(got) < asked {
				t.Fatalf("%d requests, %d arrived", asked, len(got))
			}
			if bytes.Contains(raw, []byte(value)) {
				t.Error("the value travels as it is")
			}
			var all strings.Builder
			for _, l := range strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n") {
				f := strings.Split(l, " ")
				if len(f) != 4 || len(f[0]) != 32 || len(l) > protocol.MaxLine+60 ||
					strings.ContainsFunc(f[3], func(r rune) bool { return !strings.ContainsRune(alphabet, r) }) {
					t.Fatalf("a line of %d bytes: %.100q", len(l), l)
				}
				all.WriteString(f[3])
			}
			joined := all.String()
			if n := strings.Count(joined, "s"+base64.StdEncoding.EncodeToString([]byte(value))+";"); n < asked {
				t.Errorf("the value travels %d times in %d requests", n, asked)
			}
			for i, args := range got {
				if !holds(args, value) && args["packed"] != true {
					t.Errorf("request %d arrived without the value: %.200s", i,
						strings.ReplaceAll(fmt.Sprintf("%.300q", fmt.Sprint(args)), value, "VALUE"))
				}
			}
		})
	}
}

// holds looks for a value in what arrived. Pieces of a file and command lines hold it in their own
// way.
func holds(v any, value string) bool {
	switch v := v.(type) {
	case string:
		return v == value || v == "Get-"+value || strings.HasPrefix(v, value+".deploy.tmp")
	case []byte:
		return string(v) == value
	case nil, bool, int64:
		return false
	case []any:
		for _, x := range v {
			if holds(x, value) {
				return true
			}
		}
	case map[string]any:
		for k, x := range v {
			if k == value || holds(x, value) {
				return true
			}
		}
	}
	return false
}
