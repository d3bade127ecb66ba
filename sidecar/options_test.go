package sidecar

import (
	"reflect"
	"testing"
)

func TestF48_VolumeOptionsAreStoredWithoutPasswords(t *testing.T) {
	tests := []struct {
		in, want map[string]string
		withheld bool
	}{
		{nil, nil, false},
		{map[string]string{"type": "nfs", "o": "addr=10.0.0.1,rw", "device": ":/x"}, map[string]string{"type": "nfs", "o": "addr=10.0.0.1,rw", "device": ":/x"}, false},
		{map[string]string{"type": "cifs", "o": "username=u,password=hunter2,vers=3.0"}, map[string]string{"type": "cifs", "o": "username=u,vers=3.0"}, true},
		{map[string]string{"o": "pass=hunter2"}, map[string]string{"o": ""}, true},
		{map[string]string{"secret_key": "hunter2", "size": "1g"}, map[string]string{"size": "1g"}, true},
	}
	for _, tt := range tests {
		got, withheld := publicOptions(tt.in)
		if !reflect.DeepEqual(got, tt.want) || withheld != tt.withheld {
			t.Errorf("publicOptions(%v) = %v, %v, want %v, %v", tt.in, got, withheld, tt.want, tt.withheld)
		}
	}
}
