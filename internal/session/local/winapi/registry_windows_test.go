package winapi

import (
	"strings"
	"testing"

	"deploy/internal/node"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/windows/registry"
)

// testKey makes the name of a key of the test's own, which is gone after it.
func testKey(t *testing.T) string {
	t.Helper()
	key := `HKLM\SOFTWARE\` + unique("deploy-test")
	t.Cleanup(func() {
		if err := RegistryDeleteKey(key); err != nil {
			t.Error(err)
		}
	})
	return key
}

func TestRegistryTypes(t *testing.T) {
	key := testKey(t)
	want := map[string]node.Row{}
	for _, v := range []node.Row{
		{"name": "s", "type": "string", "data": "héllo 世 😀"},
		{"name": "", "type": "string", "data": "the default value"},
		{"name": "empty", "type": "string", "data": ""},
		{"name": "e", "type": "expand", "data": `%SystemRoot%\x`},
		{"name": "d", "type": "dword", "data": int64(0xFFFFFFFF)},
		{"name": "d0", "type": "dword", "data": int64(0)},
		{"name": "q", "type": "qword", "data": int64(-1)},
		{"name": "b", "type": "binary", "data": []byte{0, 1, 255, 13, 10, 26}},
		{"name": "b0", "type": "binary", "data": []byte{}},
		{"name": "m", "type": "multi", "data": []any{"one", "two words", "três", "", "last"}},
		{"name": "m0", "type": "multi", "data": []any{}},
		{"name": "n", "type": "none", "data": []byte{1, 2, 3}},
		{"name": "n0", "type": "none", "data": []byte{}},
		{"name": "be", "type": "type-5", "data": []byte{0, 0, 0, 9}},
		{"name": "res", "type": "type-8", "data": []byte{1, 0, 0}},
		{"name": "long", "type": "string", "data": strings.Repeat("long ", 20000)},
	} {
		want[v.String("name")] = v
		must(t, RegistrySet(key, v.String("name"), v.String("type"), v["data"]))
	}
	rows, err := RegistryValues(key)
	must(t, err)
	got := map[string]node.Row{}
	for _, r := range rows {
		got[r.String("name")] = r
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// a value may change its type
	must(t, RegistrySet(key, "s", "dword", int64(7)))
	rows, err = RegistryValues(strings.ToLower(key[:5]) + strings.ToUpper(key[5:]))
	must(t, err)
	for _, r := range rows {
		if r.String("name") == "s" && (r.String("type") != "dword" || r["data"] != int64(7)) {
			t.Error(r)
		}
	}
}

// TestRegistryOddData: what is not as long as its type says is read as far as it goes.
func TestRegistryOddData(t *testing.T) {
	for _, tt := range []struct {
		typ  uint32
		b    []byte
		want any
	}{
		{registry.SZ, []byte{'a', 0, 'b', 0}, "ab"},
		{registry.SZ, []byte{'a', 0, 0, 0}, "a"},
		{registry.SZ, []byte{'a', 0, 0}, "a"},
		{registry.SZ, nil, ""},
		{registry.DWORD, []byte{1, 2}, int64(0x201)},
		{registry.DWORD, nil, int64(0)},
		{registry.QWORD, []byte{1, 0, 0, 0}, int64(1)},
		{registry.MULTI_SZ, []byte{'a', 0, 0, 0, 'b', 0}, []any{"a", "b"}},
		{registry.MULTI_SZ, []byte{'a', 0, 0, 0, 0, 0}, []any{"a"}},
		{registry.MULTI_SZ, []byte{0, 0, 0, 0}, []any{""}},
		{registry.MULTI_SZ, []byte{0, 0}, []any{}},
		{registry.MULTI_SZ, nil, []any{}},
	} {
		if _, got := decodeValue(tt.typ, tt.b); !cmp.Equal(got, tt.want) {
			t.Errorf("type %d, %v: got %#v, want %#v", tt.typ, tt.b, got, tt.want)
		}
	}
}

func TestRegistryAbsent(t *testing.T) {
	key := testKey(t)
	_, err := RegistryValues(key)
	is(t, err, node.ErrNotFound, 2)
	_, err = RegistryKeys(key)
	is(t, err, node.ErrNotFound, 2)
	must(t, RegistryDelete(key, "x"))
	must(t, RegistryDeleteKey(key))
	must(t, RegistrySet(key, "a", "string", "x"))
	must(t, RegistryDelete(key, "not there"))
	must(t, RegistryDelete(key, "A")) // names are compared without case
	rows, err := RegistryValues(key)
	if err != nil || len(rows) != 0 {
		t.Error(rows, err)
	}
}

func TestRegistryTree(t *testing.T) {
	key := testKey(t)
	must(t, RegistrySet(key+`\a\b\c`, "v", "string", "x"))
	must(t, RegistrySet(key+`\d\`, "v", "string", "x"))
	rows, err := RegistryKeys(key)
	if err != nil || len(rows) != 2 || rows[0].String("name")+rows[1].String("name") != "ad" {
		t.Error(rows, err)
	}
	must(t, RegistryDeleteKey(key+`\a`))
	rows, err = RegistryKeys(key)
	if err != nil || len(rows) != 1 {
		t.Error(rows, err)
	}
	// the 64-bit view is meant, whatever the program's own
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key[5:], registry.QUERY_VALUE|registry.WOW64_64KEY)
	must(t, err)
	must(t, k.Close())
}

func TestRegistryRefusals(t *testing.T) {
	key := testKey(t)
	is(t, RegistryDeleteKey(`HKLM\SOFTWARE`), nil, 5)
	is(t, RegistryDeleteKey(`HKLM\SOFTWARE\`), nil, 5)
	is(t, RegistryDeleteKey(`HKLM\`), nil, 5)
	_, err := RegistryValues(`HKCU\Software`)
	is(t, err, node.ErrUnsupported, 50)
	is(t, RegistrySet(key, "x", "link", "y"), node.ErrUnsupported, 50)
	for typ, data := range map[string]any{"dword": int64(-1), "qword": "x", "string": []any{"a"}, "binary": "x",
		"expand": "a\x00b", "multi": []any{"a\x00b"}} {
		is(t, RegistrySet(key, "x", typ, data), nil, 87)
	}
	if _, err := RegistryValues(key); err == nil {
		t.Error("a refused value has left a key")
	}
}
