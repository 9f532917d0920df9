package winapi

import (
	"fmt"
	"math"
	"strconv"
	"unsafe"

	"deploy/internal/node"

	"github.com/go-ole/go-ole"
	"golang.org/x/sys/windows"
)

// CIM types (CIMTYPE_ENUMERATION).
const (
	cimSint16, cimSint32, cimReal32, cimReal64, cimString, cimBool, cimObject = 2, 3, 4, 5, 8, 11, 13
	cimSint8, cimUint8, cimUint16, cimUint32, cimSint64, cimUint64            = 16, 17, 18, 19, 20, 21
	cimDatetime, cimReference, cimChar16, cimArray                            = 101, 102, 103, 0x2000
)

// fromVariant makes a value of package node's rows of a property. WMI carries numbers of 64 bits as
// text and unsigned ones in signed variants, so the CIM type decides. Real numbers and datetimes
// are text, as the resident script sends them.
func fromVariant(v *ole.VARIANT, cim int32) (any, error) {
	if v.VT == ole.VT_NULL || v.VT == ole.VT_EMPTY {
		return nil, nil
	}
	if v.VT&ole.VT_ARRAY != 0 {
		return fromArray(pointer(v), v.VT&^ole.VT_ARRAY, cim&^cimArray)
	}
	switch v.VT {
	case ole.VT_BSTR:
		s := v.ToString()
		if cim == cimSint64 || cim == cimUint64 {
			// what does not fit the codec's numbers stays text
			if n, err := strconv.ParseInt(s, 10, 64); err == nil {
				return n, nil
			}
		}
		return s, nil
	case ole.VT_UNKNOWN, ole.VT_DISPATCH:
		return fromObject((*ole.IUnknown)(pointer(v)))
	}
	return fromBits(uint64(v.Val), v.VT, cim)
}

// pointer reads a variant as a pointer.
func pointer(v *ole.VARIANT) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&v.Val)) }

func fromBits(bits uint64, vt ole.VT, cim int32) (any, error) {
	switch cim {
	case cimBool:
		return bits&0xFFFF != 0, nil
	case cimUint8:
		return int64(uint8(bits)), nil
	case cimUint16:
		return int64(uint16(bits)), nil
	case cimUint32:
		return int64(uint32(bits)), nil
	case cimChar16:
		return string(rune(uint16(bits))), nil
	}
	switch vt {
	case ole.VT_BOOL:
		return bits&0xFFFF != 0, nil
	case ole.VT_I1:
		return int64(int8(bits)), nil
	case ole.VT_UI1:
		return int64(uint8(bits)), nil
	case ole.VT_I2:
		return int64(int16(bits)), nil
	case ole.VT_UI2:
		return int64(uint16(bits)), nil
	case ole.VT_I4, ole.VT_INT:
		return int64(int32(bits)), nil
	case ole.VT_UI4, ole.VT_UINT:
		return int64(uint32(bits)), nil
	case ole.VT_I8:
		return int64(bits), nil
	case ole.VT_UI8:
		if bits > math.MaxInt64 {
			return strconv.FormatUint(bits, 10), nil
		}
		return int64(bits), nil
	case ole.VT_R4:
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(bits))), 'G', -1, 32), nil
	case ole.VT_R8:
		return strconv.FormatFloat(math.Float64frombits(bits), 'G', -1, 64), nil
	}
	return nil, fmt.Errorf("a value of variant type %d is not known", vt)
}

func fromArray(array unsafe.Pointer, vt ole.VT, cim int32) (any, error) {
	if array == nil {
		return nil, nil
	}
	if dim, _, _ := procSafeArrayGetDim.Call(uintptr(array)); dim != 1 {
		return nil, fmt.Errorf("an array of %d dimensions is not known", dim)
	}
	var low, high int32
	if r, _, _ := procSafeArrayGetLBound.Call(uintptr(array), 1, uintptr(unsafe.Pointer(&low))); r != 0 {
		return nil, ole.NewError(r)
	}
	if r, _, _ := procSafeArrayGetUBound.Call(uintptr(array), 1, uintptr(unsafe.Pointer(&high))); r != 0 {
		return nil, ole.NewError(r)
	}
	list := []any{}
	for i := low; i <= high; i++ {
		// the element is copied: a text or an object in it is ours to free
		v := ole.VARIANT{VT: vt}
		into := unsafe.Pointer(&v.Val)
		if vt == ole.VT_VARIANT {
			into = unsafe.Pointer(&v)
		}
		if r, _, _ := procSafeArrayGetElement.Call(uintptr(array), uintptr(unsafe.Pointer(&i)), uintptr(into)); r != 0 {
			return nil, ole.NewError(r)
		}
		x, err := fromVariant(&v, cim)
		_ = v.Clear()
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	if cim == cimUint8 {
		// .NET has byte[] there, which is one value for the codec
		b := make([]byte, len(list))
		for i, x := range list {
			b[i] = byte(x.(int64))
		}
		return b, nil
	}
	return list, nil
}

// toVariant makes the variant that WMI wants for a property of a CIM type. The caller clears it.
func toVariant(value any, cim int32) (ole.VARIANT, error) {
	if value == nil {
		return ole.VARIANT{VT: ole.VT_NULL}, nil
	}
	if cim&cimArray != 0 {
		return toArray(value, cim&^cimArray)
	}
	vt, bits, err := scalar(value, cim)
	return ole.VARIANT{VT: vt, Val: bits}, err
}

// scalar gives the variant type and its bits; a text is allocated.
func scalar(value any, cim int32) (ole.VT, int64, error) {
	row := node.Row{"v": value}
	switch value.(type) {
	case string, int64, bool:
	default:
		return 0, 0, fmt.Errorf("a %T cannot be an argument here", value)
	}
	number := func(low, high int64) (int64, error) {
		n := row.Int("v")
		if s, ok := value.(string); ok {
			parsed, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%q is no number", s)
			}
			n = parsed
		}
		if n < low || n > high {
			return 0, fmt.Errorf("%d does not fit", n)
		}
		return n, nil
	}
	switch cim {
	case cimBool:
		if row.Bool("v") {
			return ole.VT_BOOL, 0xFFFF, nil
		}
		return ole.VT_BOOL, 0, nil
	case cimSint8:
		n, err := number(math.MinInt8, math.MaxInt8)
		return ole.VT_I2, n, err
	case cimUint8:
		n, err := number(0, math.MaxUint8)
		return ole.VT_UI1, n, err
	case cimSint16:
		n, err := number(math.MinInt16, math.MaxInt16)
		return ole.VT_I2, n, err
	case cimUint16, cimChar16:
		n, err := number(0, math.MaxUint16)
		return ole.VT_I4, n, err
	case cimSint32:
		n, err := number(math.MinInt32, math.MaxInt32)
		return ole.VT_I4, n, err
	case cimUint32:
		n, err := number(0, math.MaxUint32)
		return ole.VT_I4, int64(int32(uint32(n))), err
	case cimReal32, cimReal64:
		f, err := strconv.ParseFloat(row.String("v"), 64)
		return ole.VT_R8, int64(math.Float64bits(f)), err
	case cimString, cimDatetime, cimReference, cimSint64, cimUint64:
		return ole.VT_BSTR, int64(uintptr(unsafe.Pointer(ole.SysAllocStringLen(row.String("v"))))), nil
	}
	return 0, 0, fmt.Errorf("an argument of CIM type %d is not known", cim)
}

func toArray(value any, cim int32) (ole.VARIANT, error) {
	list, ok := value.([]any)
	if b, bytes := value.([]byte); bytes {
		for _, x := range b {
			list = append(list, int64(x))
		}
	} else if !ok {
		list = []any{value}
	}
	vt := map[int32]ole.VT{cimBool: ole.VT_BOOL, cimSint8: ole.VT_I2, cimUint8: ole.VT_UI1, cimSint16: ole.VT_I2,
		cimReal32: ole.VT_R8, cimReal64: ole.VT_R8}[cim]
	switch cim {
	case cimUint16, cimChar16, cimSint32, cimUint32:
		vt = ole.VT_I4
	case cimString, cimDatetime, cimReference, cimSint64, cimUint64:
		vt = ole.VT_BSTR
	}
	if vt == 0 {
		return ole.VARIANT{}, fmt.Errorf("a list of CIM type %d is not known", cim)
	}
	array, _, _ := procSafeArrayCreateVector.Call(uintptr(vt), 0, uintptr(len(list)))
	if array == 0 {
		return ole.VARIANT{}, windows.ERROR_NOT_ENOUGH_MEMORY
	}
	for i, x := range list {
		at := int32(i)
		evt, bits, err := scalar(x, cim)
		if err == nil {
			var r uintptr
			if evt == ole.VT_BSTR {
				// a text is passed as it is, and copied
				r, _, _ = procSafeArrayPutElement.Call(array, uintptr(unsafe.Pointer(&at)), uintptr(bits))
				v := ole.VARIANT{VT: evt, Val: bits}
				_ = v.Clear()
			} else {
				r, _, _ = procSafeArrayPutElement.Call(array, uintptr(unsafe.Pointer(&at)), uintptr(unsafe.Pointer(&bits)))
			}
			if r != 0 {
				err = ole.NewError(r)
			}
		}
		if err != nil {
			_, _, _ = procSafeArrayDestroy.Call(array)
			return ole.VARIANT{}, err
		}
	}
	return ole.VARIANT{VT: ole.VT_ARRAY | vt, Val: int64(array)}, nil
}
