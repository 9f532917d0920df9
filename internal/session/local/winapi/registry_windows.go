package winapi

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"deploy/internal/node"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// view64 is the registry as 64-bit programs see it, also for a 32-bit build.
const view64 = registry.WOW64_64KEY

// below returns what stands behind HKLM\, the only root that is served.
func below(op, key string) (string, error) {
	if len(key) < 5 || !strings.EqualFold(key[:5], `HKLM\`) {
		return "", unsupported(op, "only keys of HKLM are served: %s", key)
	}
	return strings.Trim(key[5:], `\`), nil
}

func openKey(op, key string, access uint32) (registry.Key, error) {
	sub, err := below(op, key)
	if err != nil {
		return 0, err
	}
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, sub, access|view64)
	if isMissing(err) {
		return 0, absent(op, "there is no key %s", key)
	}
	if err != nil {
		return 0, failed(op, err)
	}
	return k, nil
}

// RegistryValues serves reg.get.
func RegistryValues(key string) (rows []node.Row, err error) {
	op := "reg.get " + key
	k, err := openKey(op, key, registry.QUERY_VALUE)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	names, err := k.ReadValueNames(0)
	if err != nil {
		return nil, failed(op, err)
	}
	for _, name := range names {
		row, err := readValue(k, name)
		if isMissing(err) {
			continue // removed by somebody since the names were read
		}
		if err != nil {
			return nil, failed(op, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func readValue(k registry.Key, name string) (node.Row, error) {
	buf := make([]byte, 256)
	n, typ, err := k.GetValue(name, buf)
	for errors.Is(err, registry.ErrShortBuffer) {
		buf = make([]byte, max(2*len(buf), n))
		n, typ, err = k.GetValue(name, buf)
	}
	if err != nil {
		return nil, err
	}
	word, data := decodeValue(typ, buf[:n])
	return node.Row{"name": name, "type": word, "data": data}, nil
}

// decodeValue gives a value's type word and data. Data of a size that does not fit the type is read
// as far as it goes, as .NET does.
func decodeValue(typ uint32, b []byte) (string, any) {
	switch typ {
	case registry.SZ:
		return "string", text16(b)
	case registry.EXPAND_SZ:
		return "expand", text16(b)
	case registry.DWORD:
		return "dword", int64(little(b, 4))
	case registry.QWORD:
		return "qword", int64(little(b, 8))
	case registry.MULTI_SZ:
		return "multi", texts16(b)
	case registry.BINARY:
		return "binary", slices.Clone(b)
	}
	return typeWord(typ), slices.Clone(b)
}

// otherType begins the word of a type that has no word of its own; its number follows.
const otherType = "type-"

func typeWord(typ uint32) string {
	if typ == registry.NONE {
		return "none"
	}
	return fmt.Sprintf("%s%d", otherType, typ)
}

// typeNumber is typeWord's other way; ok is false for any other word.
func typeNumber(word string) (typ uint32, ok bool) {
	if word == "none" {
		return registry.NONE, true
	}
	digits, ok := strings.CutPrefix(word, otherType)
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), ok && err == nil
}

func little(b []byte, size int) (n uint64) {
	for i := min(len(b), size) - 1; i >= 0; i-- {
		n = n<<8 | uint64(b[i])
	}
	return n
}

func units(b []byte) []uint16 {
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = uint16(b[2*i]) | uint16(b[2*i+1])<<8
	}
	return u
}

// text16 reads a text, with or without the zero at its end; zeros in the middle stay.
func text16(b []byte) string {
	u := units(b)
	if len(u) > 0 && u[len(u)-1] == 0 {
		u = u[:len(u)-1]
	}
	return string(utf16.Decode(u))
}

// texts16 reads a list of texts that each end in a zero, and the list in one more. Empty texts in
// the middle are kept, and what lacks its zeros is read to its end: that is how .NET reads such a
// value.
func texts16(b []byte) []any {
	list := []any{}
	u := units(b)
	for at := 0; at < len(u); {
		end := slices.Index(u[at:], 0)
		switch {
		case end < 0:
			return append(list, string(utf16.Decode(u[at:])))
		case end > 0:
			list = append(list, string(utf16.Decode(u[at:at+end])))
		case at != len(u)-1:
			list = append(list, "")
		}
		at += end + 1
	}
	return list
}

// RegistryKeys serves reg.keys.
func RegistryKeys(key string) (rows []node.Row, err error) {
	op := "reg.keys " + key
	k, err := openKey(op, key, registry.ENUMERATE_SUB_KEYS)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	names, err := k.ReadSubKeyNames(0)
	if err != nil {
		return nil, failed(op, err)
	}
	for _, name := range names {
		rows = append(rows, node.Row{"name": name})
	}
	return rows, nil
}

// RegistrySet serves reg.set.
func RegistrySet(key, name, typ string, data any) error {
	op := "reg.set " + key
	sub, err := below(op, key)
	if err != nil {
		return err
	}
	write, err := encodeValue(op, typ, data)
	if err != nil {
		return err
	}
	k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, sub, registry.SET_VALUE|view64)
	if err != nil {
		return failed(op, err)
	}
	defer k.Close()
	if err := write(k, name); err != nil {
		return failed(op, err)
	}
	return nil
}

// encodeValue checks data before anything is written.
func encodeValue(op, typ string, data any) (func(registry.Key, string) error, error) {
	bad := func() error {
		return refused(op, "deploy.BadValue", windows.ERROR_INVALID_PARAMETER, "a %T is no %s", data, typ)
	}
	row := node.Row{"v": data}
	switch typ {
	case "string", "expand":
		if _, list := data.([]any); list {
			return nil, bad()
		}
		s := row.String("v")
		if strings.ContainsRune(s, 0) {
			return nil, refused(op, "deploy.BadValue", windows.ERROR_INVALID_PARAMETER, "a text with a zero character")
		}
		if typ == "expand" {
			return func(k registry.Key, name string) error { return k.SetExpandStringValue(name, s) }, nil
		}
		return func(k registry.Key, name string) error { return k.SetStringValue(name, s) }, nil
	case "dword":
		n, ok := data.(int64)
		if !ok || n < 0 || n > 0xFFFFFFFF {
			return nil, bad()
		}
		return func(k registry.Key, name string) error { return k.SetDWordValue(name, uint32(n)) }, nil
	case "qword":
		n, ok := data.(int64)
		if !ok {
			return nil, bad()
		}
		return func(k registry.Key, name string) error { return k.SetQWordValue(name, uint64(n)) }, nil
	case "multi":
		list := row.Strings("v")
		for _, s := range list {
			if strings.ContainsRune(s, 0) {
				return nil, refused(op, "deploy.BadValue", windows.ERROR_INVALID_PARAMETER, "a text with a zero character")
			}
		}
		return func(k registry.Key, name string) error { return k.SetStringsValue(name, list) }, nil
	case "binary":
		b, ok := data.([]byte)
		if !ok && data != nil {
			return nil, bad()
		}
		return func(k registry.Key, name string) error { return k.SetBinaryValue(name, b) }, nil
	}
	if number, ok := typeNumber(typ); ok {
		b, ok := data.([]byte)
		if !ok && data != nil {
			return nil, bad()
		}
		return func(k registry.Key, name string) error { return setValue(k, name, number, b) }, nil
	}
	return nil, unsupported(op, "there is no value type %s", typ)
}

// RegistryDelete serves reg.del: neither the key nor the value need be there.
func RegistryDelete(key, name string) error {
	op := "reg.del " + key
	k, err := openKey(op, key, registry.SET_VALUE)
	if errors.Is(err, node.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer k.Close()
	if err := k.DeleteValue(name); err != nil && !isMissing(err) {
		return failed(op, err)
	}
	return nil
}

// RegistryDeleteKey serves reg.delkey: a key with all below it.
func RegistryDeleteKey(key string) error {
	op := "reg.delkey " + key
	sub, err := below(op, key)
	if err != nil {
		return err
	}
	// HKLM\SOFTWARE and its like are never what is meant
	if !strings.Contains(sub, `\`) {
		return refused(op, "deploy.Refused", windows.ERROR_ACCESS_DENIED, "will not delete %s", key)
	}
	if err := deleteTree(sub); err != nil && !isMissing(err) {
		return failed(op, err)
	}
	return nil
}

func deleteTree(sub string) error {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, sub, registry.ENUMERATE_SUB_KEYS|view64)
	if err != nil {
		return err
	}
	names, err := k.ReadSubKeyNames(0)
	k.Close()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := deleteTree(sub + `\` + name); err != nil && !isMissing(err) {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return deleteKey(sub)
}
