CREATE TABLE from_file (who text DEFAULT '${who}');
