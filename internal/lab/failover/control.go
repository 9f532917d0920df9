package failover

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"

	"deploy/internal/lab/machine"
	"deploy/internal/lab/model"
)

// Functions of control codes, without the object in the top byte. Source: CLCTL_CODES (clusapi.h):
// CLUSCTL_NETWORK_SET_COMMON_PROPERTIES is 0x0540005e, CLUSCTL_RESOURCE_SET_PRIVATE_PROPERTIES
// 0x01400086.
const (
	ctlGetROCommon  = 0x55
	ctlGetCommon    = 0x59
	ctlSetCommon    = 0x40005e
	ctlCheckCommon  = 0x61
	ctlGetROPrivate = 0x7d
	ctlGetPrivate   = 0x81
	ctlSetPrivate   = 0x400086
	ctlCheckPrivate = 0x89
)

// objectCode is the object in the top byte of a control code: CLUSTER_OBJECT_TYPE.
var objectCode = map[string]int64{"resource": 1, "restype": 2, "group": 3, "node": 4, "network": 5, "netinterface": 6,
	"cluster": 7}

// control carries out Execute...Control for the codes that read, check and set properties; any
// other code is refused. It is the documented way to set a property without putting an instance
// back.
func (f *Family) control(c *machine.Ctx, cl *model.Cluster, o object, args map[string]any) (machine.Object, error) {
	code, ok := machine.ArgInt(args, "ControlCode")
	if !ok || code>>24 != objectCode[o.kind] {
		return nil, InvalidParameter
	}
	in, err := bytesArg(args["InputBuffer"])
	if err != nil {
		return nil, err
	}
	private := false
	switch code & 0xffffff {
	case ctlGetROPrivate, ctlGetPrivate, ctlSetPrivate, ctlCheckPrivate:
		private = true
	}
	rel := releaseOf(c.W, cl)
	switch code & 0xffffff {
	case ctlGetROCommon, ctlGetROPrivate, ctlGetCommon, ctlGetPrivate:
		ro := code&0xffffff == ctlGetROCommon || code&0xffffff == ctlGetROPrivate
		var list []namedValue
		for _, p := range f.table(o, rel, private) {
			if (p.Access == "ro") == ro && p.Type != "binary" {
				list = append(list, namedValue{p.Name, p.Type, f.value(c.W, o, p, private)})
			}
		}
		out := encodeProperties(list)
		return machine.Object{"OutputBuffer": out, "OutputBufferSize": int64(len(out))}, nil
	case ctlSetCommon, ctlSetPrivate, ctlCheckCommon, ctlCheckPrivate:
		list, err := decodeProperties(in)
		if err != nil {
			return nil, InvalidParameter
		}
		check := code&0xffffff == ctlCheckCommon || code&0xffffff == ctlCheckPrivate
		var stored error
		for _, v := range list {
			p, ok := f.property(o, rel, v.name, private)
			switch {
			case !ok:
				return nil, InvalidParameter
			case p.Type != v.typ:
				return nil, PropertyTypeMismatch
			case check:
				if _, err := p.convert(v.value, rel); err != nil {
					return nil, err
				}
				continue
			}
			if err := f.setProperty(c, o, v.name, v.value, private); err == PropertiesStored {
				stored = err
			} else if err != nil {
				return nil, err
			}
		}
		return nil, stored
	}
	return nil, NotSupported
}

func bytesArg(v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []byte:
		return v, nil
	case []any:
		out := make([]byte, 0, len(v))
		for _, x := range v {
			n, ok := x.(int64)
			if !ok || n < 0 || n > 255 {
				return nil, InvalidParameter
			}
			out = append(out, byte(n))
		}
		return out, nil
	}
	return nil, InvalidParameter
}

type namedValue struct {
	name, typ string
	value     any
}

// Syntax words of a property list. Source: CLUSPROP_SYNTAX.
const (
	synName   = 0x00040003
	synDword  = 0x00010002
	synSz     = 0x00010003
	synMulti  = 0x00010005
	synULarge = 0x00010006
)

// encodeProperties writes a property list: a count, then for each property its name, its value and
// an end mark; every value is padded to four bytes. Source: CLUSPROP_LIST of the MsCS
// documentation.
func encodeProperties(list []namedValue) []byte {
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(list)))
	value := func(syntax uint32, b []byte) {
		out = binary.LittleEndian.AppendUint32(out, syntax)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(b)))
		out = append(out, b...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	for _, v := range list {
		value(synName, wide(v.name))
		switch x := v.value.(type) {
		case int64:
			if v.typ == "ularge" {
				value(synULarge, binary.LittleEndian.AppendUint64(nil, uint64(x)))
			} else {
				value(synDword, binary.LittleEndian.AppendUint32(nil, uint32(x)))
			}
		case string:
			value(synSz, wide(x))
		case []any:
			var b []byte
			for _, s := range x {
				b = append(b, wide(fmt.Sprint(s))...)
			}
			value(synMulti, append(b, 0, 0))
		}
		out = binary.LittleEndian.AppendUint32(out, 0)
	}
	return out
}

func wide(s string) []byte {
	var out []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

func narrow(b []byte) string {
	var u []uint16
	for i := 0; i+1 < len(b); i += 2 {
		u = append(u, binary.LittleEndian.Uint16(b[i:]))
	}
	return string(utf16.Decode(u))
}

// decodeProperties reads a property list and refuses one that is cut short or has a type that the
// lab keeps not.
func decodeProperties(b []byte) ([]namedValue, error) {
	word := func() (uint32, error) {
		if len(b) < 4 {
			return 0, InvalidParameter
		}
		n := binary.LittleEndian.Uint32(b)
		b = b[4:]
		return n, nil
	}
	value := func() (uint32, []byte, error) {
		syntax, err := word()
		if err != nil || syntax == 0 {
			return 0, nil, err
		}
		n, err := word()
		if err != nil || uint64(n) > uint64(len(b)) {
			return 0, nil, InvalidParameter
		}
		v := b[:n]
		b = b[min(len(b), int(n+3)&^3):]
		return syntax, v, nil
	}
	count, err := word()
	if err != nil || int(count) > len(b)/8 {
		return nil, InvalidParameter
	}
	var out []namedValue
	for range count {
		syntax, name, err := value()
		if err != nil || syntax != synName {
			return nil, InvalidParameter
		}
		v := namedValue{name: strings.TrimRight(narrow(name), "\x00")}
		for first := true; ; first = false {
			syntax, data, err := value()
			if err != nil {
				return nil, err
			}
			if syntax == 0 {
				if first {
					return nil, InvalidParameter
				}
				break
			}
			switch {
			case !first:
				return nil, InvalidParameter // lists of values are not kept
			case syntax == synDword && len(data) == 4:
				v.typ, v.value = "dword", int64(binary.LittleEndian.Uint32(data))
			case syntax == synULarge && len(data) == 8:
				v.typ, v.value = "ularge", int64(binary.LittleEndian.Uint64(data))
			case syntax == synSz:
				v.typ, v.value = "string", strings.TrimRight(narrow(data), "\x00")
			case syntax == synMulti:
				l := []any{}
				for _, s := range strings.Split(strings.TrimRight(narrow(data), "\x00"), "\x00") {
					if s != "" {
						l = append(l, s)
					}
				}
				v.typ, v.value = "multistr", l
			default:
				return nil, InvalidParameter
			}
		}
		out = append(out, v)
	}
	return out, nil
}
