package machine

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
)

// absent turns "no such file or path" into the resident process's NotFound and leaves every other
// trouble as it is.
func absent(c *Ctx, err error) error {
	f := c.AsFail(err)
	if f.Code == 0x80070000|errFileNotFound || f.Code == 0x80070000|errPathNotFound {
		return notFound(errFileNotFound, f.Text)
	}
	return err
}

func verbFileStat(c *Ctx, args map[string]any) ([]Object, error) {
	f, err := StatFile(c, ArgString(args, "path"))
	if err != nil {
		return nil, absent(c, err)
	}
	return []Object{{"size": int64(len(f.Data)), "dir": f.Dir, "modified": f.Modified.Unix()}}, nil
}

func verbFileRead(c *Ctx, args map[string]any) ([]Object, error) {
	path := ArgString(args, "path")
	if _, err := StatFile(c, path); err != nil {
		return nil, absent(c, err)
	}
	data, err := ReadFile(c, path)
	if err != nil {
		return nil, err
	}
	const most = 4 << 20
	offset, _ := ArgInt(args, "offset")
	count, _ := ArgInt(args, "count")
	size := int64(len(data))
	offset = min(max(offset, 0), size)
	count = min(max(count, 0), most, size-offset)
	return []Object{{"data": append([]byte{}, data[offset:offset+count]...), "size": size}}, nil
}

// maxPiece is how much one packed piece may hold when it is unpacked, in bytes.
const maxPiece = 64 << 20

func verbFilePut(c *Ctx, args map[string]any) ([]Object, error) {
	path := ArgString(args, "path")
	data, _ := Arg(args, "data").([]byte)
	if ArgBool(args, "packed") {
		var err error
		if data, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data)), maxPiece)); err != nil {
			return nil, &Fail{Code: 0x80131501, ID: "InvalidDataException", Type: "System.IO.InvalidDataException",
				Text: err.Error()}
		}
	}
	offset, _ := ArgInt(args, "offset")
	if offset <= 0 {
		return nil, WriteFile(c, path, data)
	}
	old, err := ReadFile(c, path)
	if err != nil {
		return nil, err
	}
	if int64(len(old)) != offset {
		return nil, &Fail{Code: 38, ID: "deploy.Changed", Text: "the temporary file is not as long as it was left"}
	}
	return nil, appendFile(c, path, data)
}

func verbFileCommit(c *Ctx, args map[string]any) ([]Object, error) {
	temp := ArgString(args, "temp")
	data, err := ReadFile(c, temp)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	if !strings.EqualFold(hex.EncodeToString(sum[:]), ArgString(args, "sha256")) {
		_ = RemoveFile(c, temp, false) // it is of no use to anybody; the refusal is what matters
		return nil, &Fail{Code: 23, ID: "deploy.Hash", Text: "the file transfer is incomplete"}
	}
	return nil, MoveFile(c, temp, ArgString(args, "path"))
}

func verbFileHash(c *Ctx, args map[string]any) ([]Object, error) {
	path := ArgString(args, "path")
	if _, err := StatFile(c, path); err != nil {
		return nil, absent(c, err)
	}
	data, err := ReadFile(c, path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	return []Object{{"sha256": hex.EncodeToString(sum[:]), "size": int64(len(data))}}, nil
}

func verbFileRemove(c *Ctx, args map[string]any) ([]Object, error) {
	path := ArgString(args, "path")
	if p := c.abs(path); len(p) <= 3 {
		return nil, &Fail{Code: errAccessDenied, ID: "deploy.Refused", Text: "will not delete " + path}
	}
	return nil, RemoveFile(c, path, ArgBool(args, "tree"))
}

func verbDirMake(c *Ctx, args map[string]any) ([]Object, error) {
	return nil, MakeDirs(c, ArgString(args, "path"))
}

func verbDirList(c *Ctx, args map[string]any) ([]Object, error) {
	path := ArgString(args, "path")
	f, err := StatFile(c, path)
	if err != nil {
		return nil, absent(c, err)
	}
	if !f.Dir {
		return nil, &Fail{Code: errDirectory, ID: "deploy.NotDirectory", Text: "not a directory: " + path}
	}
	list, err := listDir(c, path)
	if err != nil {
		return nil, err
	}
	var rows []Object
	for _, e := range list {
		rows = append(rows, Object{"name": e.name, "dir": e.file.Dir, "size": int64(len(e.file.Data))})
	}
	return rows, nil
}

func verbACLGet(c *Ctx, args map[string]any) ([]Object, error) {
	path := ArgString(args, "path")
	if _, err := StatFile(c, path); err != nil {
		return nil, absent(c, err)
	}
	sddl, err := GetACL(c, path)
	if err != nil {
		return nil, err
	}
	return []Object{{"sddl": sddl}}, nil
}

func verbACLSet(c *Ctx, args map[string]any) ([]Object, error) {
	path := ArgString(args, "path")
	if _, err := StatFile(c, path); err != nil {
		return nil, absent(c, err)
	}
	return nil, SetACL(c, path, ArgString(args, "sddl"))
}
