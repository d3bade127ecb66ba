package plan

import (
	"strings"
	"testing"
)

func TestSpaceOfARestore(t *testing.T) {
	const mib = 1 << 20
	fits := RestoreSpace{NeedBytes: 3 * mib, FreeBytes: 10 * mib, NeedInodes: 5, FreeInodes: -1, AtMost: true, Device: 1}
	short, inodes, tight, elsewhere := fits, fits, fits, fits
	short.NeedBytes, short.Short, short.AtMost = 12*mib, true, false
	inodes.FreeInodes, inodes.Short, inodes.AtMost = 4, true, false
	tight.NeedBytes = 8 * mib
	elsewhere = tight
	elsewhere.Device = 2
	for name, c := range map[string]struct {
		files, more       RestoreSpace
		problems, warning string
	}{
		"both fit":          {fits, fits, "", ""},
		"one is short":      {short, fits, "volume files: the Docker volume shop_files lacks space: needs 12MiB beside what is there, and 10MiB are free; make room", ""},
		"inodes":            {fits, inodes, "needs 5 inodes, and 4 are free", ""},
		"not both":          {tight, tight, "", "volume more: shares its filesystem with volume files"},
		"two filesystems":   {tight, elsewhere, "", ""},
		"nothing was asked": {RestoreSpace{Unknown: "no such device"}, fits, "", "volume files: whether it has room for what comes back is not known before it is restored: no such device"},
	} {
		w := shopWorld()
		r := MakeRestore(w.restore(t, volumeSource("shop", "files"), volumeSource("shop", "more")))
		before := len(r.Warnings)
		r.CheckSpace(map[string]RestoreSpace{"volume files": c.files, "volume more": c.more})
		if got := strings.Join(r.Problems, "\n"); (got == "") != (c.problems == "") || !strings.Contains(got, c.problems) {
			t.Errorf("%s: problems %q", name, got)
		}
		if got := strings.Join(r.Warnings[before:], "\n"); (got == "") != (c.warning == "") || !strings.Contains(got, c.warning) {
			t.Errorf("%s: warnings %q", name, got)
		}
		for _, it := range r.Items {
			if it.Volume.Space == nil {
				t.Errorf("%s: %s shows nothing", name, it.Key)
			}
		}
	}
}
