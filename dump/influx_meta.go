package dump

import "encoding/binary"

// The metadata of a server is a message of protocol buffers. A backup holds it
// as the first field of another one; alone it is the server's file meta.db. Of
// it we look at the names of databases, of their continuous queries and of
// users.
const (
	influxMetaData      = 1 // of the outer message
	influxMetaDatabases = 5
	influxMetaUsers     = 6
	influxMetaQueries   = 4 // of a database
	influxMetaName      = 1 // of each of them
)

// maxInfluxMeta bounds metadata, which is held in memory.
const maxInfluxMeta = 16 << 20

// influxMetadata is what metadata says.
type influxMetadata struct {
	raw       []byte // the file meta.db
	databases []string
	queries   int
	users     int
}

// parseInfluxMeta reads the metadata of a backup.
func parseInfluxMeta(b []byte) (m influxMetadata, err error) {
	found := false
	err = protoFields(b, func(number uint64, value []byte) error {
		if number == influxMetaData && !found {
			m.raw, found = value, true
		}
		return nil
	})
	if err == nil && len(m.raw) == 0 {
		err = badTar("its metadata is empty")
	}
	if err != nil {
		return m, err
	}
	err = protoFields(m.raw, func(number uint64, value []byte) error {
		switch number {
		case influxMetaDatabases:
			return m.database(value)
		case influxMetaUsers:
			m.users++
		}
		return nil
	})
	return m, err
}

func (m *influxMetadata) database(b []byte) error {
	name := ""
	err := protoFields(b, func(number uint64, value []byte) error {
		switch number {
		case influxMetaName:
			name = string(value)
		case influxMetaQueries:
			m.queries++
		}
		return nil
	})
	if err == nil && name == "" {
		err = badTar("a database in its metadata has no name")
	}
	if m.databases = append(m.databases, name); err == nil && len(m.databases) > influxMost {
		err = badTar("its metadata names more than %d databases", influxMost)
	}
	return err
}

// protoFields goes through the fields of a message. Those that are numbers have
// no value for it.
func protoFields(b []byte, take func(number uint64, value []byte) error) error {
	cut := badTar("its metadata is cut short")
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return cut
		}
		b = b[n:]
		var value []byte
		length := 0
		switch key & 7 {
		case 0:
			if _, length = binary.Uvarint(b); length <= 0 {
				return cut
			}
		case 1:
			length = 8
		case 5:
			length = 4
		case 2:
			size, n := binary.Uvarint(b)
			if n <= 0 || size > uint64(len(b)-n) {
				return cut
			}
			length = n + int(size)
			value = b[n:length]
		default:
			return badTar("its metadata has a field of an unknown kind")
		}
		if length > len(b) {
			return cut
		}
		if err := take(key>>3, value); err != nil {
			return err
		}
		b = b[length:]
	}
	return nil
}
