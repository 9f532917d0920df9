package winapi

import (
	"context"
	"fmt"
	"syscall"
	"unsafe"

	"github.com/go-ole/go-ole"
	"golang.org/x/sys/windows"
)

// The COM interfaces of WMI (wbemcli.h), as far as they are used. The scripting objects above them
// (SWbem...) hide the types of properties.

// unknown is a COM object; method i of its interface is entry i of its table.
type unknown = ole.IUnknown

// call calls an entry of an object's table. A pointer into Go memory must be converted in the call
// itself, which keeps it where it is.
//
//go:uintptrescapes
func call(o *unknown, entry int, args ...uintptr) uint32 {
	table := unsafe.Slice((*uintptr)(unsafe.Pointer(o.RawVTable)), entry+1)
	r, _, _ := syscall.SyscallN(table[entry], append([]uintptr{uintptr(unsafe.Pointer(o))}, args...)...)
	return uint32(r)
}

const (
	locatorConnect = 3

	servicesGetObject, servicesPutInstance, servicesExecQuery, servicesExecMethod = 6, 14, 20, 24

	enumNext = 4

	objectGet, objectPut, objectBegin, objectNext, objectEnd, objectSpawn, objectMethod = 4, 5, 8, 9, 10, 15, 19
)

// Flags and codes of WbemErrorEnum and its neighbours.
const (
	flagForwardOnly       = 0x20
	flagReturnImmediately = 0x10
	flagNonSystem         = 0x40
	statusTimedOut        = 0x40004
	statusNoMoreData      = 0x40005

	wbemNotFound         = 0x80041002
	wbemInvalidNamespace = 0x8004100E
	wbemInvalidClass     = 0x80041010
	wbemInvalidQuery     = 0x80041017

	errNoInterface = 0x80004002
)

// status is a failed HRESULT of WMI or COM.
type status uint32

func (s status) Error() string { return fmt.Sprintf("WMI code 0x%08X", uint32(s)) }

func check(hr uint32) error {
	if hr&0x80000000 != 0 {
		return status(hr)
	}
	return nil
}

// bstr is a text as COM wants it. The caller frees it.
type bstr struct{ p *int16 }

func newBstr(s string) bstr     { return bstr{ole.SysAllocStringLen(s)} }
func (b bstr) arg() uintptr     { return uintptr(unsafe.Pointer(b.p)) }
func (b bstr) free()            { _ = ole.SysFreeString(b.p) }
func wide(s string) *uint16     { p, _ := windows.UTF16PtrFromString(s); return p }
func objArg(o *unknown) uintptr { return uintptr(unsafe.Pointer(o)) }

// services is a connection to a namespace (IWbemServices).
type services struct{ *unknown }

func (s *services) release() { s.unknown.Release() }

// connect opens a namespace of this machine. Every connection is kept until the worker ends.
func (w *worker) connect(namespace string) (*services, error) {
	if s := w.open[namespace]; s != nil {
		return s, nil
	}
	clsid := ole.NewGUID("{4590F811-1D3A-11D0-891F-00AA004B2E24}")
	iid := ole.NewGUID("{DC12A687-737F-11CF-884D-00AA004B2E24}")
	locator, err := ole.CreateInstance(clsid, iid)
	if err != nil {
		return nil, comError(err)
	}
	defer locator.Release()
	name := newBstr(`\\.\` + namespace)
	defer name.free()
	var s *unknown
	if err := check(call(locator, locatorConnect, name.arg(), 0, 0, 0, 0, 0, 0, uintptr(unsafe.Pointer(&s)))); err != nil {
		return nil, err
	}
	if err := blanket(s); err != nil {
		s.Release()
		return nil, err
	}
	w.open[namespace] = &services{s}
	return w.open[namespace], nil
}

// comError keeps the code of go-ole's own error.
func comError(err error) error {
	if e, ok := err.(*ole.OleError); ok {
		return status(uint32(e.Code()))
	}
	return err
}

// blanket has an object's calls encrypted and made as the caller: some namespaces (that of the
// cluster) refuse anything less.
func blanket(o *unknown) error {
	const winnt, none, privacy, impersonate = 10, 0, 6, 3
	r, _, _ := procCoSetProxyBlanket.Call(objArg(o), winnt, none, 0, privacy, impersonate, 0, 0)
	if uint32(r) == errNoInterface { // the object lives in this process
		return nil
	}
	return check(uint32(r))
}

// object is an instance, a class or a method's arguments (IWbemClassObject).
type object struct{ *unknown }

func (s *services) class(name string) (object, error) {
	return s.get(name)
}

func (s *services) get(path string) (object, error) {
	p := newBstr(path)
	defer p.free()
	var o *unknown
	err := check(call(s.unknown, servicesGetObject, p.arg(), 0, 0, uintptr(unsafe.Pointer(&o)), 0))
	return object{o}, err
}

// query calls f with each result, which is released after it. It looks at ctx while it waits.
func (s *services) query(ctx context.Context, text string, f func(object) error) error {
	language, q := newBstr("WQL"), newBstr(text)
	defer language.free()
	defer q.free()
	var enum *unknown
	if err := check(call(s.unknown, servicesExecQuery, language.arg(), q.arg(), flagForwardOnly|flagReturnImmediately, 0,
		uintptr(unsafe.Pointer(&enum)))); err != nil {
		return err
	}
	defer enum.Release()
	if err := blanket(enum); err != nil {
		return err
	}
	const wait = 500 // milliseconds
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		var batch [16]*unknown
		var n uint32
		hr := call(enum, enumNext, wait, uintptr(len(batch)), uintptr(unsafe.Pointer(&batch[0])), uintptr(unsafe.Pointer(&n)))
		err := check(hr)
		for _, o := range batch[:min(int(n), len(batch))] {
			if err == nil {
				err = f(object{o})
			}
			o.Release()
		}
		if err != nil {
			return err
		}
		if hr != 0 && hr != statusTimedOut { // S_FALSE: that was all
			return nil
		}
		if hr == 0 && n == 0 {
			return nil
		}
	}
}

// value reads one property; the CIM type comes with it.
func (o object) value(name string) (any, int32, error) {
	v, cim, err := o.raw(name)
	if err != nil {
		return nil, 0, err
	}
	defer v.Clear()
	x, err := fromVariant(&v, cim)
	return x, cim, err
}

// raw reads one property as a variant, which the caller clears.
func (o object) raw(name string) (v ole.VARIANT, cim int32, err error) {
	err = check(call(o.unknown, objectGet, uintptr(unsafe.Pointer(wide(name))), 0, uintptr(unsafe.Pointer(&v)),
		uintptr(unsafe.Pointer(&cim)), 0))
	return v, cim, err
}

func (o object) put(name string, v *ole.VARIANT) error {
	return check(call(o.unknown, objectPut, uintptr(unsafe.Pointer(wide(name))), 0, uintptr(unsafe.Pointer(v)), 0))
}

// each calls f with every property that is not WMI's own.
func (o object) each(f func(name string, value any) error) error {
	if err := check(call(o.unknown, objectBegin, flagNonSystem)); err != nil {
		return err
	}
	defer call(o.unknown, objectEnd)
	for {
		var name *uint16
		var v ole.VARIANT
		var cim int32
		hr := call(o.unknown, objectNext, 0, uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&v)),
			uintptr(unsafe.Pointer(&cim)), 0)
		if err := check(hr); err != nil {
			return err
		}
		if hr == statusNoMoreData || name == nil {
			return nil
		}
		text := windows.UTF16PtrToString(name)
		_ = ole.SysFreeString((*int16)(unsafe.Pointer(name)))
		x, err := fromVariant(&v, cim)
		_ = v.Clear()
		if err == nil {
			err = f(text, x)
		}
		if err != nil {
			return err
		}
	}
}

// arguments makes the object that holds a method's arguments; none is nil. A method that the class
// lacks is wbemNotFound.
func (o object) arguments(method string) (object, error) {
	var in *unknown
	if err := check(call(o.unknown, objectMethod, uintptr(unsafe.Pointer(wide(method))), 0, uintptr(unsafe.Pointer(&in)),
		0)); err != nil || in == nil {
		return object{}, err
	}
	defer in.Release()
	var inst *unknown
	err := check(call(in, objectSpawn, 0, uintptr(unsafe.Pointer(&inst))))
	return object{inst}, err
}

// exec calls a method; a method that answers nothing gives an object without a value.
func (s *services) exec(path, method string, in object) (object, error) {
	p, m := newBstr(path), newBstr(method)
	defer p.free()
	defer m.free()
	var out *unknown
	err := check(call(s.unknown, servicesExecMethod, p.arg(), m.arg(), 0, 0, objArg(in.unknown),
		uintptr(unsafe.Pointer(&out)), 0))
	return object{out}, err
}

func (s *services) putInstance(o object) error {
	const updateOnly = 1
	return check(call(s.unknown, servicesPutInstance, objArg(o.unknown), updateOnly, 0, 0))
}

// fromObject makes a map of an embedded object.
func fromObject(u *unknown) (any, error) {
	if u == nil {
		return nil, nil
	}
	o, err := asObject(u)
	if err != nil {
		return nil, err
	}
	defer o.Release()
	m := map[string]any{}
	err = o.each(func(name string, value any) error { m[name] = value; return nil })
	return m, err
}

func asObject(u *unknown) (object, error) {
	d, err := u.QueryInterface(ole.NewGUID("{DC12A681-737F-11CF-884D-00AA004B2E24}"))
	if err != nil {
		return object{}, comError(err)
	}
	return object{(*unknown)(unsafe.Pointer(d))}, nil
}
